"""What each entity's records are called, wherever they are referred to. A new entity gets its line here."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Raw = Mapping[str, Any]
"""A record as its event carries it."""


def _field(name: str) -> Callable[[Raw], str | None]:
    return lambda record: record.get(name)


def _lead(record: Raw) -> str | None:
    """The person, else the company, else the topic (Dataverse: a lead's primary name is its full name)."""
    person = " ".join(part for part in (record.get("first_name"), record.get("last_name")) if part)
    return person or record.get("company_name") or record.get("topic")


NAMES: Final[Mapping[str, Callable[[Raw], str | None]]] = {
    "lead": _lead,
    "opportunity": _field("name"),
    "quote": _field("name"),
    "order": _field("name"),
    "invoice": lambda record: record.get("number") or record.get("name"),
    "account": _field("name"),
    "contact": _field("full_name"),
    "competitor": _field("name"),
    "product": _field("name"),
    "price_list": _field("name"),
    "price_list_item": lambda _: "Price of a product",
    "sales_contract": _field("name"),
    "sales_literature": _field("title"),
    "sales_stage": _field("name"),
    "exchange_rate": _field("currency"),
    "goal": _field("name"),
    "sales_settings": lambda _: "Sales settings",
    "case": _field("title"),
    "campaign": _field("name"),
    "task": _field("subject"),
    "phone_call": _field("subject"),
    "follow_up_rule": _field("subject"),
    "user": _field("name"),
    "team": _field("name"),
    "business_unit": _field("name"),
    "security_role": _field("name"),
    "api_client": _field("name"),
    "organization": _field("name"),
}

NAMELESS: Final = frozenset({"access_change"})
"""Announcements that are records only in form: nothing is ever about one of them."""
