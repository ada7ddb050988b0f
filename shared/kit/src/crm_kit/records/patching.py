"""The mechanics of changes that entities share: setting fields, refusing edits, and changing owners."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.catalogue import Event
from crm_contracts.records import Owner
from crm_contracts.sentences import Choice, entity_word, said, status_word
from crm_contracts.types import Maybe, ShortText
from crm_kit.access.directory import Member
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.store.record import OwnedRecord, Record, Stateful
from crm_kit.work.uow import UnitOfWork


class Assignment(BaseModel):
    """The new owner of a record (Dataverse: Assign)."""

    model_config = ConfigDict(extra="forbid")

    owner_type: Literal["user", "team", "client"] = Field(description="Kind of the new owner.")
    owner_id: UUID = Field(description="An active user, team or API client.")


class Deactivation(BaseModel):
    """The reason for deactivating a record."""

    model_config = ConfigDict(extra="forbid")

    reason: Maybe[ShortText] = Field(None, description="Free text of at most 200 characters. The event contains it.")


def apply(record: Record, values: Mapping[str, Any]) -> None:
    """Set fields of a record."""
    for name, value in values.items():
        setattr(record, name, value)


def require_status(record: Stateful, *editable: str) -> None:
    """Raise 409 ``illegal-transition`` unless the record has one of the statuses in which it may be edited."""
    if record.status not in editable:
        raise DomainError(
            "illegal-transition",
            said(
                "The record can only be edited while it is {allowed}.",
                allowed=Choice(*(status_word("record", one) for one in editable)),
            ),
            members={
                "record_status": record.status,
                "status_reason": record.status_reason,
                "allowed": record.moves_from(record.__dict__),
            },
        )


async def refer_to_principal(uow: UnitOfWork, kind: str, principal_id: UUID, pointer: str) -> Member:
    """Return the user, team or API client of a reference. Raises 422 with ``pointer`` unless it exists, has ``kind`` and is
    active."""
    directory = uow.runtime.directory
    await directory.learn(await uow.connection(), [principal_id])
    found = directory.named(principal_id)
    if found is None or found.deleted or found.kind != kind:
        raise InvalidValue(
            pointer,
            "unknown-reference",
            said("Send the id of an existing {kind} that you may read.", kind=entity_word(kind)),
        )
    if not found.active:
        raise InvalidValue(
            pointer,
            "inactive-reference",
            said("Choose another {kind}: this one is not active.", kind=entity_word(kind)),
        )
    return found


async def assign(uow: UnitOfWork, record: OwnedRecord, to: Assignment, event: type[Event]) -> None:
    """Set the owner and the business unit of a record, and announce it. The present owner changes nothing.

    Raises 422 at ``/owner_id`` unless the new owner exists and is active.
    """
    found = await refer_to_principal(uow, to.owner_type, to.owner_id, "/owner_id")
    if record.owner_id != to.owner_id:
        await give(uow, [record], to.owner_type, to.owner_id, found.unit, event)


async def give(
    uow: UnitOfWork, records: Sequence[OwnedRecord], owner_type: str, owner_id: UUID, unit: UUID, event: type[Event]
) -> None:
    """Set the owner and the business unit of locked records of one kind, and announce each. Checks nothing."""
    if not records:
        return
    kind = type(records[0])
    await uow.names.learn(kind, [record.__dict__ for record in records])
    previous = [_owner(uow, record) for record in records]
    for record in records:
        record.owner_type, record.owner_id, record.business_unit_id = owner_type, owner_id, unit
    await uow.names.learn(kind, [record.__dict__ for record in records])
    for record, before in zip(records, previous, strict=True):
        uow.emit(record, event, previous_owner=before, new_owner=_owner(uow, record))


def _owner(uow: UnitOfWork, record: OwnedRecord) -> Owner:
    name = uow.names[record.owner_id].name
    return Owner(
        owner_type=record.owner_type,
        owner_id=record.owner_id,
        owner_name=name,
        business_unit_id=record.business_unit_id,
    )
