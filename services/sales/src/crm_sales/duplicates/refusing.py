"""Refuse writes that would likely make a duplicate. Records that the caller may not read are shown as hidden."""

from collections.abc import Sequence
from typing import Any

from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork
from crm_sales.duplicates.finding import ACCOUNTS, CONTACTS, Match, Reason, Target, Wanted, searches_for
from crm_sales.duplicates.known import TOO_COMMON, Known, look_for
from crm_sales.duplicates.likeness import Likeness, Somebody
from crm_sales.duplicates.telling import readable

WORDS: dict[Reason, str] = {
    "email": "the same e-mail address",
    "phone": "the same telephone number",
    "name": "a similar name",
}
NAMED = 3
"""Number of records that the message names. The list contains the others."""


async def refuse_duplicates_of(uow: UnitOfWork, record: Somebody) -> None:
    """Raise 409 ``possible-duplicates`` if the record to write likely exists already. One statement."""
    await _refuse(uow, searches_for([record]), "Use one of them", "send duplicates=allow")


async def refuse_duplicates(uow: UnitOfWork, *, account: Likeness | None, contact: Likeness | None) -> None:
    """Raise 409 ``possible-duplicates`` if a customer to be made of a lead likely exists as an account or contact."""
    asked = ((ACCOUNTS, account), (CONTACTS, contact))
    searches: list[tuple[Target, list[Wanted]]]
    searches = [(target, [(0, likeness)]) for target, likeness in asked if likeness is not None]
    await uow.transaction()
    await _refuse(uow, searches, "Link one of them", "send allow_duplicates: true")


async def _refuse(uow: UnitOfWork, searches: Sequence[tuple[Target, Sequence[Wanted]]], use: str, go_on: str) -> None:
    async with uow.reads.bounded(f"{TOO_COMMON}; {go_on} to go on without comparing."):
        known = await look_for(await uow.connection(), searches)
    if known.matches:
        members = {"duplicates": [_named(uow, match) for match in known.matches], "more": known.more}
        raise DomainError("possible-duplicates", _sentence(uow, known, use, go_on), members=members)


def _sentence(uow: UnitOfWork, known: Known, use: str, go_on: str) -> str:
    """Return a message that names the matches that the caller may read, and says what to do next."""
    shown = [match for match in known.matches if readable(uow, match)]
    named = [
        f"{match.type} {match.number or match.id} ({_and([WORDS[reason] for reason in match.reasons])})"
        for match in shown
    ]
    others = len(known.matches) - len(named[:NAMED])
    if not named:
        if len(known.matches) == 1:
            hidden, whose = "A record that you may not read is", "whose it is"
        else:
            hidden, whose = "Records that you may not read are", "whose they are"
        return f"{hidden} likely the same. Ask an administrator {whose}, or {go_on} to go on."
    if others or known.more:
        counted = f"at least {others}" if known.more else str(others)
        return f"This is likely {', '.join(named[:NAMED])} or one of {counted} more. {use}, or {go_on} to go on."
    if len(named) == 1:
        return f"This is likely {named[0]}. {use.replace('one of them', 'it')}, or {go_on} to go on."
    return f"This is likely {', '.join(named[:-1])} or {named[-1]}. {use}, or {go_on} to go on."


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _named(uow: UnitOfWork, match: Match) -> dict[str, Any]:
    if not readable(uow, match):
        return {"hidden": True}
    # A person is shown by number: problem documents never contain the name of a person.
    name = match.name if match.type == "account" else match.number
    told = {"type": match.type, "id": match.id, "name": name, "reasons": match.reasons}
    return told if match.similarity is None else {**told, "similarity": match.similarity}
