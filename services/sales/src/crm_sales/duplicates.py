"""Who of our accounts and contacts a new customer may already be: same e-mail or phone, similar name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, String, case, func, literal, or_, select, union_all

from crm_contracts.access import Privilege
from crm_kit.db import OwnedRecord
from crm_kit.errors import DomainError
from crm_kit.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact

SHOWN = 20
SIMILAR = 0.6
"""Trigram similarity (pg_trgm) from which two names count as similar; the database's threshold is set to the same."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is known of somebody: a name, an e-mail address, telephone numbers."""

    name: str | None = None
    email: str | None = None
    phones: tuple[str, ...] = ()


async def refuse_duplicates(uow: UnitOfWork, *, account: Likeness | None, contact: Likeness | None) -> None:
    """409 ``possible-duplicates`` listing likely accounts and contacts; what the caller may not read only as hidden."""
    likely = []
    if account is not None:
        likely.append(_like(Account, Account.name, Account.name, (Account.phone,), account))
    if contact is not None:
        # Shown by its number: a problem document is no place for a person's name.
        phones = (Contact.phone, Contact.mobile_phone)
        likely.append(_like(Contact, Contact.full_name, Contact.number, phones, contact))
    selects = [one.subquery().select() for one in likely if one is not None]
    if not selects:
        return
    found = (await uow.execute(union_all(*selects).limit(SHOWN))).all()
    if found:
        raise DomainError(
            "possible-duplicates",
            "Similar accounts or contacts exist; link one of them, or send allow_duplicates: true.",
            members={"duplicates": [_shown(uow, row) for row in found]},
        )


def _like(
    entity: type[OwnedRecord], name: Any, shown: Any, phones: Sequence[Any], known: Likeness
) -> Select[Any] | None:
    email: Any = entity.email  # type: ignore[attr-defined]  # accounts and contacts have one
    same: dict[str, ColumnElement[bool]] = {}
    if known.email:
        same["email"] = email == known.email
    if known.phones:
        same["phone"] = or_(*(phone.in_(known.phones) for phone in phones))
    if known.name:
        same["name"] = func.lower(name).bool_op("%")(known.name.lower())
    if not same:
        return None
    reasons = func.concat_ws(",", *(case((rule, literal(reason, String))) for reason, rule in same.items()))
    return (
        select(literal(entity.entity()), entity.id, shown, entity.owner_id, entity.business_unit_id, reasons)
        .where(or_(*same.values()))
        .limit(SHOWN)
    )


def _shown(uow: UnitOfWork, row: Any) -> dict[str, Any]:
    kind, record_id, name, owner, unit, reasons = row
    if uow.principal.covers(kind, Privilege.READ, owner, unit, uow.runtime.directory.tree):
        return {"type": kind, "id": record_id, "name": name, "reasons": reasons.split(",")}
    return {"hidden": True}
