"""``RecordRef``: what this service knows of every record of every service, so that anything may be *about* anything."""

from collections.abc import Mapping, Set
from uuid import UUID

from crm_activities.db import Base
from crm_contracts.types import RefInput
from crm_kit.copies.referring import RecordCopy, find_copies, names_in, require_reference
from crm_kit.work.uow import UnitOfWork


class RecordRef(RecordCopy, Base):
    """One record of any service."""

    __tablename__ = "record_ref"


names_of = names_in(RecordRef)


async def find_ref(uow: UnitOfWork, record_id: UUID) -> RecordRef | None:
    """The copy of a record; None while nothing but its id was heard of."""
    return (await find_refs(uow, {record_id})).get(record_id)


async def find_refs(uow: UnitOfWork, record_ids: Set[UUID]) -> Mapping[UUID, RecordRef]:
    """The copies of records by id, without those of which nothing but the id was heard."""
    return await find_copies(uow, RecordRef, record_ids)


async def refer_to_any(uow: UnitOfWork, wanted: RefInput, pointer: str) -> RecordRef:
    """The record that a new reference points at: known, readable, active and not merged, or 422 with the pointer."""
    return await require_reference(uow, await find_ref(uow, wanted.id), wanted.type, wanted.id, pointer)
