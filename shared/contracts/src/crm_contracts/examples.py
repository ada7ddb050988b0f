"""Makes a realistic example of each event for the documents: the running example of a bank that sells a gold card.

An example is a sample (`crm_contracts.samples`) whose texts, numbers and dates are those of the story, and whose record is in the
state that the event left it in.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from .catalogue import Event
from .envelope import parse_type
from .samples import sample
from .schemas import event_schema

_DEFS: Final = "#/$defs/"

TOLD: Final[Mapping[str, Any]] = {
    "billable_minutes": 20,
    "birth_date": "1985-12-10",
    "body": "Press and hold the side button for ten seconds. The terminal restarts and keeps its settings.",
    "category": "Retail banking",
    "city": "Vienna",
    "company_name": "ACME GmbH",
    "credit_hold": False,
    "decimals": 2,
    "deleted": False,
    "description": "Asked for the conditions of the gold card.",
    "discount_percent": 5,
    "do_not_email": False,
    "do_not_phone": False,
    "do_not_post": True,
    "due_at": "2026-05-11T09:00:00Z",
    "due_date": "2026-06-03",
    "effective_to": "2026-12-31",
    "employees": 250,
    "end_date": "2026-12-31",
    "estimated_close_date": "2026-06-30",
    "evaluation": "Compares us with two other banks.",
    "expected_response": 12,
    "expires_on": "2026-06-04",
    "final_actual_count": 31,
    "first_name": "Ada",
    "full_name": "Ada Lovelace",
    "industry": "Engineering",
    "is_template": False,
    "job_title": "Head of purchasing",
    "keywords": "terminal, restart",
    "last_name": "Lovelace",
    "left_voicemail": False,
    "line1": "Ringstrasse 12",
    "line2": "2nd floor",
    "min_quantity": 10,
    "minutes": 25,
    "name": "ACME GmbH",
    "needs": "A card with travel insurance for forty employees.",
    "new_due_at": "2026-05-12T09:00:00Z",
    "next_revision": 2,
    "not_before": "2026-05-04T00:00:00Z",
    "note": "By bank transfer.",
    "number": "CUS-00042",
    "objective": "Sell 100 gold cards by the end of June.",
    "offer": "Twelve months without a fee.",
    "old_due_at": "2026-05-06T09:00:00Z",
    "owner_name": "Sam Seller",
    "percent": 2,
    "percent_complete": 50,
    "period_end": "2026-06-30",
    "period_start": "2026-04-01",
    "position": 1,
    "postal_code": "1010",
    "price_overridden": False,
    "probability": 60,
    "proposed_end": "2026-06-30",
    "reason": "Ordered twice by mistake.",
    "reference": "PO-4711",
    "region": "Vienna",
    "remind_at": "2026-05-10T08:00:00Z",
    "requested_delivery": "2026-05-18",
    "resolution": "The bill was corrected and sent again.",
    "scheduled_end_at": "2026-05-11T09:30:00Z",
    "scheduled_start_at": "2026-05-11T09:00:00Z",
    "sequence": 1,
    "stage": "Propose",
    "strengths": "Low prices.",
    "stretch_target_count": 120,
    "target_count": 100,
    "tax_overridden": False,
    "tax_percent": 19,
    "termination_reason": "The fleet was sold.",
    "time_zone": "Europe/Vienna",
    "unit": "piece",
    "valid_from": "2026-01-01",
    "valid_to": "2026-12-31",
    "weaknesses": "No branches.",
}
"""The values of fields by name, in place of those that a sample makes up. A field with examples of its own keeps them."""
AMOUNTS: Final[Mapping[str, str]] = {
    "annual_revenue": "12000000.00",
    "balance": "1190.00",
    "budget": "25000.00",
    "credited_total": "0.00",
    "credit_limit": "50000.00",
    "discount_amount": "0.00",
    "discount_total": "0.00",
    "expected_revenue": "60000.00",
    "freight": "0.00",
    "list_price": "400.00",
    "manual_discount": "0.00",
    "net": "1000.00",
    "other_cost": "500.00",
    "paid_total": "0.00",
    "standard_cost": "250.00",
    "subtotal": "1000.00",
    "tax": "190.00",
    "tax_total": "190.00",
    "total": "1190.00",
    "unit_price": "400.00",
    "volume_discount": "0.00",
}
"""The amounts of money by name, also of `…_base`: 2.5 pieces at 400.00 with 19 % tax. Others are 1200.00."""
ANY_TEXT: Final = ("As agreed on the phone.", "Agreed", "A1")
"""Texts for fields that are in neither list. The first that fits is taken."""
_REASONS: Final = ("problem_solved", "made", "out_sold", "complete", "lost")
"""Details of states that do not have the state's name."""
_STAYS_OPEN: Final = frozenset(
    {"due_at", "remind_at", "scheduled_start_at", "scheduled_end_at", "entered_at", "not_before"}
)
"""Times of a record that do not wait for an event of their own."""


def example(event: type[Event]) -> dict[str, Any]:
    """Return a complete CloudEvent of this type, in the words of the running example. It is the same on every machine."""
    document = sample(event)
    schema = event_schema(event)
    definitions, fact = schema["$defs"], parse_type(event.type).fact
    document["data"] = data = _told(document["data"], schema, definitions)
    record, shape = data["record"], _resolved(schema["properties"]["record"], definitions)
    for name, part in shape["properties"].items():
        if name.endswith("_at") and _may_be_null(part) and name not in _STAYS_OPEN and not _stem(name, fact):
            record[name] = None
    if "survivor_id" in record and fact != "merged":
        record["survivor_id"] = None
    before = _state(record, shape, definitions, fact)
    record["version"] = document["entityversion"] = 1 if fact == "created" else 3
    data["changed"] = _changed(record, before, fact)
    return document


def _stem(name: str, fact: str) -> bool:
    """Whether a time is that of the fact: `won_at` and `closed_at` of a deal that was won."""
    return name.removesuffix("_at") == fact or (name == "closed_at" and fact in ("won", "lost"))


def _changed(record: Mapping[str, Any], before: str | None, fact: str) -> dict[str, Any]:
    if fact in ("created", "deleted", "snapshot"):
        return {}
    if before is not None:
        return {"status": {"old": before, "new": record["status"]}}
    if fact == "assigned":
        return {"owner_id": {"old": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e70", "new": record["owner_id"]}}
    field = next((name for name in ("description", "name", "subject", "title") if record.get(name)), None)
    return {field: {"old": None, "new": record[field]}} if field else {}


def _state(record: dict[str, Any], shape: Mapping[str, Any], definitions: Mapping[str, Any], fact: str) -> str | None:
    """Put the record into the state after the fact. Returns the status before, if the fact changed it."""
    statuses = _values(shape["properties"].get("status", {}), definitions)
    if fact not in statuses:
        return None
    record["status"] = fact
    reasons = shape["properties"].get("status_reason")
    if reasons is not None:
        known = _values(reasons, definitions)
        record["status_reason"] = next((one for one in (fact, *_REASONS) if one in known), record["status_reason"])
    return next((status for status in statuses if status != fact), None)


def _told(value: Any, schema: Any, definitions: Mapping[str, Any], name: str = "") -> Any:
    """Return a value of a sample with the texts of the story."""
    own = any(one.get("examples") for one in (schema, *schema.get("allOf", ())))
    shape = _resolved(schema, definitions)
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return {**value, "amount": AMOUNTS.get(name.removesuffix("_base"), value["amount"])}
    if isinstance(value, dict):
        properties = shape.get("properties", {})
        return {key: _told(one, properties.get(key, {}), definitions, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_told(one, shape.get("items", {}), definitions, name) for one in value]
    if own or _values(schema, definitions):
        return value
    if name in TOLD:
        return TOLD[name] if isinstance(value, type(TOLD[name])) else str(TOLD[name])
    is_made_up = value == name.replace("_", " ").capitalize()
    return next((text for text in ANY_TEXT if _fits(text, shape)), value) if is_made_up else value


def _fits(text: str, shape: Mapping[str, Any]) -> bool:
    return len(text) <= shape.get("maxLength", len(text)) and re.search(shape.get("pattern", ""), text) is not None


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a value: the definition behind a reference, the first form of several."""
    for parts in (schema.get("allOf"), schema.get("anyOf"), schema.get("oneOf")):
        if parts:
            return _resolved(parts[0], definitions)
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].removeprefix(_DEFS)], definitions)
    return schema


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    return any(one.get("type") == "null" for one in schema.get("anyOf", ()))


def _values(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """Return the values of an enum, also of one that later releases may extend; empty for other schemas."""
    found: list[str] = _resolved(schema, definitions).get("enum", [])
    return found
