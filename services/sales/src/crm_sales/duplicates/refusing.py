"""Refuse writes that would likely make a duplicate. Records that the caller may not read are shown as hidden."""

from collections.abc import Sequence
from typing import Any

from crm_contracts.sentences import Choice, Listed, Sentence, entity_word, said
from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork
from crm_sales.duplicates.finding import ACCOUNTS, CONTACTS, Match, Reason, Target, Wanted, searches_for
from crm_sales.duplicates.known import TOO_COMMON, Known, look_for
from crm_sales.duplicates.likeness import Likeness, Somebody
from crm_sales.duplicates.telling import readable

WORDS: dict[Reason, str] = {
    "email": said("the same e-mail address"),
    "phone": said("the same telephone number"),
    "name": said("a similar name"),
}
ONE = {said("Use one of them"): said("Use it"), said("Link one of them"): said("Link it")}
"""What to do with one record, by what to do with many."""
NAMED = 3
"""Number of records that the message names. The list contains the others."""


async def refuse_duplicates_of(uow: UnitOfWork, record: Somebody) -> None:
    """Raise 409 ``possible-duplicates`` if the record to write likely exists already. One statement."""
    await _refuse(uow, searches_for([record]), said("Use one of them"), "duplicates=allow")


async def refuse_duplicates(uow: UnitOfWork, *, account: Likeness | None, contact: Likeness | None) -> None:
    """Raise 409 ``possible-duplicates`` if a customer to be made of a lead likely exists as an account or contact."""
    asked = ((ACCOUNTS, account), (CONTACTS, contact))
    searches: list[tuple[Target, list[Wanted]]]
    searches = [(target, [(0, likeness)]) for target, likeness in asked if likeness is not None]
    await uow.transaction()
    await _refuse(uow, searches, said("Link one of them"), "allow_duplicates: true")


async def _refuse(
    uow: UnitOfWork, searches: Sequence[tuple[Target, Sequence[Wanted]]], use: Sentence, go_on: str
) -> None:
    async with uow.reads.bounded(
        said("{too_common}; send {go_on} to go on without comparing.", too_common=TOO_COMMON, go_on=go_on)
    ):
        known = await look_for(await uow.connection(), searches)
    if known.matches:
        members = {"duplicates": [_named(uow, match) for match in known.matches], "more": known.more}
        raise DomainError("possible-duplicates", _sentence(uow, known, use, go_on), members=members)


def _sentence(uow: UnitOfWork, known: Known, use: Sentence, go_on: str) -> Sentence:
    """Return a message that names the matches that the caller may read, and says what to do next."""
    shown = [match for match in known.matches if readable(uow, match)]
    named = [_of_match(match) for match in shown]
    others = len(known.matches) - len(named[:NAMED])
    if not named and len(known.matches) == 1:
        return said(
            "A record that you may not read is likely the same. Ask an administrator whose it is, or send {go_on} to go on.",
            go_on=go_on,
        )
    if not named:
        return said(
            "Records that you may not read are likely the same. Ask an administrator whose they are, or send {go_on} to go on.",
            go_on=go_on,
        )
    if others or known.more:
        counted = said("at least {others}", others=others) if known.more else str(others)
        return said(
            "This is likely {records} or one of {others} more. {use}, or send {go_on} to go on.",
            records=Listed(*named[:NAMED]),
            others=counted,
            use=use,
            go_on=go_on,
        )
    return said(
        "This is likely {records}. {use}, or send {go_on} to go on.",
        records=Choice(*named) if len(named) < 3 else Choice(Listed(*named[:-1]), named[-1]),
        use=ONE[use] if len(named) == 1 else use,
        go_on=go_on,
    )


def _of_match(match: Match) -> Sentence:
    reasons = [WORDS[reason] for reason in match.reasons]
    kind, number = entity_word(match.type), match.number or match.id
    if len(reasons) == 1:
        return said("{kind} {number} ({reason})", kind=kind, number=number, reason=reasons[0])
    return said(
        "{kind} {number} ({reasons} and {reason})",
        kind=kind,
        number=number,
        reasons=Listed(*reasons[:-1]),
        reason=reasons[-1],
    )


def _named(uow: UnitOfWork, match: Match) -> dict[str, Any]:
    if not readable(uow, match):
        return {"hidden": True}
    # A person is shown by number: problem documents never contain the name of a person.
    name = match.name if match.type == "account" else match.number
    told = {"type": match.type, "id": match.id, "name": name, "reasons": match.reasons}
    return told if match.similarity is None else {**told, "similarity": match.similarity}
