"""``RecordRef``: the copy of the records of all services, so that an activity can be about any record."""

from collections.abc import Mapping, Set
from uuid import UUID

from crm_activities.db import Base
from crm_contracts.types import RefInput
from crm_kit.copies.referring import RecordCopy, find_copies, names_in, require_reference
from crm_kit.work.uow import UnitOfWork


class RecordRef(RecordCopy, Base):
    """A record of any service."""

    __tablename__ = "record_ref"


names_of = names_in(RecordRef)


async def find_ref(uow: UnitOfWork, record_id: UUID) -> RecordRef | None:
    """Return the copy of a record; None if only its id is known."""
    return (await find_refs(uow, {record_id})).get(record_id)


async def find_refs(uow: UnitOfWork, record_ids: Set[UUID]) -> Mapping[UUID, RecordRef]:
    """Return the copies of records by id, except those of which only the id is known."""
    return await find_copies(uow, RecordRef, record_ids)


async def refer_to_any(uow: UnitOfWork, wanted: RefInput, pointer: str) -> RecordRef:
    """Check a new reference to any record: known, readable to the caller, active and not merged, else 422 with the
    pointer."""
    return await require_reference(uow, await find_ref(uow, wanted.id), wanted.type, wanted.id, pointer)
