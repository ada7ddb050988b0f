"""The owners that rows name, by the e-mail address or the name of an active user, or by the name of a team."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from crm_contracts.access import Depth, Privilege
from crm_contracts.sentences import entity_word, said
from crm_kit.errors import DomainError, FieldError
from crm_kit.identifiers import ASCII_FOLD
from crm_kit.importing.formats import Unread
from crm_kit.importing.mapping import OWNER
from crm_kit.importing.naming import address
from crm_kit.store.record import OwnedRecord
from crm_kit.work.uow import UnitOfWork

LONGEST: Final = 320
"""Characters of an e-mail address or a name."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An active user, team or API client as an owner."""

    kind: str
    id: UUID
    unit: UUID


Owners = Mapping[str, Sequence[Owner]]
"""Who has an e-mail address or a name, by that text as it was sent."""

# Each branch compares for equality alone, so that it costs one pass over the directory, however many names there are.
_FIND: Final = f"""
with w as (select * from unnest($1::text[], $2::text[]) with ordinality w (name, email, position)),
p as (select kind, id, business_unit_id, name, email from principal_ref where active and not deleted)
select w.position, p.kind, p.id, p.business_unit_id from w join p on {ASCII_FOLD.format("p.email")} = w.email
union all
select w.position, p.kind, p.id, p.business_unit_id from w join p on p.name = w.name where w.email is null
"""


async def owners_of(uow: UnitOfWork, named: Sequence[str]) -> Owners:
    """Return the owners that the rows of a chunk name. It takes one statement."""
    asked = sorted({text for text in named if len(text) <= LONGEST and "\x00" not in text})
    if not asked:
        return {}
    emails = [address(text) if "@" in text else None for text in asked]
    conn = await uow.connection()
    rows: list[Any] = list(await conn.exec_driver_sql(_FIND, (asked, emails)))
    found: dict[str, list[Owner]] = {}
    for position, kind, owner_id, unit in rows:
        found.setdefault(asked[position - 1], []).append(Owner(kind, owner_id, unit))
    return found


def give(uow: UnitOfWork, record: OwnedRecord, named: str, owners: Owners) -> None:
    """Make the named owner that of a new record. Raises 403 without the privilege to assign, and Unread for nobody or several."""
    found = owners.get(named, ())
    if len(found) == 1 and found[0].id == uow.principal.id:
        return
    entity = record.entity()
    # The privilege is checked first, so that callers without it do not learn who has the address.
    if uow.principal.depth(entity, Privilege.ASSIGN) is Depth.NONE:
        message = said("Leave the owner out: you lack the privilege to assign the {kind}.", kind=entity_word(entity))
        raise DomainError("forbidden", message, (FieldError(f"/{OWNER}", "forbidden", message),))
    owner = _only(found)
    record.owner_type, record.owner_id, record.business_unit_id = owner.kind, owner.id, owner.unit


def require_same(uow: UnitOfWork, record: OwnedRecord, named: str, owners: Owners) -> None:
    """Raise Unread unless the named owner is the present one of a record that a row changes."""
    found = owners.get(named, ())
    if len(found) == 1 and found[0].id == record.owner_id:
        return
    # Callers without the privilege to assign do not learn who has the address.
    if uow.principal.depth(record.entity(), Privilege.ASSIGN) is not Depth.NONE:
        _only(found)
    message = "Leave the owner out, or name the present one: an update does not assign records."
    raise Unread("owner-differs", message, OWNER)


def _only(found: Sequence[Owner]) -> Owner:
    if not found:
        message = "Send the e-mail address or the name of an active user, or the name of a team."
        raise Unread("unknown-reference", message, OWNER)
    if len(found) > 1:
        message = "Send the e-mail address: several have this name."
        raise Unread("ambiguous-reference", message, OWNER)
    return found[0]
