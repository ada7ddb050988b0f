"""Telling of likely duplicates before something is made or changed; what the caller may not read only as hidden."""

from typing import Any

from crm_kit.errors import DomainError
from crm_kit.uow import UnitOfWork
from crm_sales.duplicates.finding import ACCOUNTS, CONTACTS, Match, find, searches_for
from crm_sales.duplicates.likeness import Likeness, Somebody
from crm_sales.duplicates.telling import readable

SHOWN = 20


async def refuse_duplicates_of(uow: UnitOfWork, record: Somebody) -> None:
    """409 ``possible-duplicates`` when a record about to be written is likely known already: one statement."""
    found = await find(await uow.connection(), searches_for([record]), limit=SHOWN)
    _refuse(uow, found, "Similar records exist; use one of them, or send duplicates=allow.")


async def refuse_duplicates(uow: UnitOfWork, *, account: Likeness | None, contact: Likeness | None) -> None:
    """409 ``possible-duplicates`` when a customer about to be made of a lead is likely an account or contact already."""
    asked = ((ACCOUNTS, account), (CONTACTS, contact))
    searches = [(target, [(0, likeness)]) for target, likeness in asked if likeness is not None]
    found = await find(await uow.transaction(), searches, limit=SHOWN)
    _refuse(uow, found, "Similar accounts or contacts exist; link one of them, or send allow_duplicates: true.")


def _refuse(uow: UnitOfWork, found: list[Match], advice: str) -> None:
    if found:
        members = {"duplicates": [_named(uow, match) for match in found[:SHOWN]]}
        raise DomainError("possible-duplicates", advice, members=members)


def _named(uow: UnitOfWork, match: Match) -> dict[str, Any]:
    if not readable(uow, match):
        return {"hidden": True}
    # A person is shown by number: a problem document is no place for somebody's name.
    name = match.name if match.type == "account" else match.number
    told = {"type": match.type, "id": match.id, "name": name, "reasons": match.reasons}
    return told if match.similarity is None else {**told, "similarity": match.similarity}
