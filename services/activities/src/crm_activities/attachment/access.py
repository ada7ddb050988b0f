"""The record that a file or a note is on, which decides who may do what."""

from dataclasses import dataclass
from uuid import UUID

from crm_activities.projections.record_ref import RecordRef, find_ref
from crm_contracts.access import Privilege
from crm_contracts.catalogue import entity_named
from crm_kit.copies.referring import may_read
from crm_kit.copies.survivors import merged
from crm_kit.errors import Forbidden, NotFound, OutOfReach
from crm_kit.store.presenter import ReferenceName
from crm_kit.store.record import OwnedRecord
from crm_kit.work.uow import UnitOfWork

NEVER = frozenset({"attachment"})
"""Kinds of record to which nothing can be attached."""


@dataclass(frozen=True, slots=True)
class Place:
    """A record that the caller may read, of any service."""

    type: str
    id: UUID
    name: str | None
    owner_id: UUID | None
    business_unit_id: UUID | None

    def introduce(self, uow: UnitOfWork) -> None:
        """Let references show the name of the record, which may be newer than the copy of it."""
        uow.names[self.id] = ReferenceName(self.name, owner=self.owner_id, unit=self.business_unit_id)


def place_of(record: OwnedRecord) -> Place:
    """Return the place of a record of this service that the caller has loaded."""
    name = entity_named(record.entity()).name_of(record.__dict__)
    return Place(record.entity(), record.id, name, record.owner_id, record.business_unit_id)


async def find_place(uow: UnitOfWork, kind: str, record_id: UUID) -> Place:
    """Return a record that the caller may read. Raises 404 otherwise, and 410 ``merged`` for a merged one.

    Records of this service are found at once; those of others when this service has heard of them.
    """
    own = next((one for one in uow.runtime.entities if one.entity() == kind and issubclass(one, OwnedRecord)), None)
    if kind in NEVER:
        raise NotFound("record")
    if own is not None:
        try:
            record = await uow.read(own, record_id)
        except (NotFound, Forbidden):
            raise NotFound("record") from None
        assert isinstance(record, OwnedRecord)
        return place_of(record)
    ref = await find_ref(uow, record_id)
    if ref is None or ref.type != kind or ref.deleted or not may_read(uow, ref):
        raise NotFound("record")
    if ref.merged_into is not None:
        raise await merged(uow, RecordRef, ref.type, ref.id)
    return Place(ref.type, ref.id, ref.name, ref.owner_id, ref.business_unit_id)


async def find_kind(uow: UnitOfWork, record_id: UUID) -> str:
    """Return the kind of a record of any service. Raises 404 for a record that this service has not heard of."""
    ref = await find_ref(uow, record_id)
    if ref is None:
        raise NotFound("record")
    return ref.type


def require_write(uow: UnitOfWork, place: Place) -> None:
    """Raise 403 unless the caller may write the record."""
    uow.principal.require(place.type, Privilege.WRITE)
    if not uow.reach(place.type, Privilege.WRITE).covers(place.owner_id, place.business_unit_id):
        raise OutOfReach(Privilege.WRITE.value, place.type)
