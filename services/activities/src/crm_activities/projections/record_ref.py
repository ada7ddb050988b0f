"""``RecordRef``: what this service knows of every record of every service, so that anything may be *about* anything."""

from collections.abc import Mapping, Sequence, Set
from typing import Any
from uuid import UUID

from sqlalchemy import String, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_activities.projections.names import NAMES
from crm_contracts.access import Depth, Privilege
from crm_contracts.envelope import Envelope
from crm_contracts.types import RefInput
from crm_kit.copies.projections import project
from crm_kit.copies.survivors import MergeableCopy, merged_reference, survivor_told
from crm_kit.errors import InactiveReference, UnknownReference
from crm_kit.store.presenter import Named
from crm_kit.work.uow import UnitOfWork


class RecordRef(MergeableCopy, Base):
    """One record of any service: type, name, owner, unit, state."""

    __tablename__ = "record_ref"

    type: Mapped[str] = mapped_column(String(50))
    name: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[UUID | None]
    business_unit_id: Mapped[UUID | None]
    status: Mapped[str | None] = mapped_column(String(24))


async def keep_refs(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """One row per record; nothing of it but what references show and access needs."""
    await project(uow, RecordRef, [(event, _columns(event)) for event in events])


def _columns(envelope: Envelope) -> dict[str, Any]:
    record: Mapping[str, Any] = envelope.data["record"]
    kind = envelope.type.split(".", 3)[2]
    return {
        "type": kind,
        "name": NAMES[kind](record),
        "owner_id": envelope.ownerid,
        "business_unit_id": envelope.businessunit,
        "status": record.get("status"),
        "merged_into": survivor_told(envelope),
    }


async def names_of(conn: AsyncConnection, wanted: set[tuple[str, UUID]]) -> Mapping[UUID, Named]:
    """The names of records that ours are about, whether they are gone, and whose they are or were."""
    columns = (getattr(RecordRef, name) for name in ("id", "name", "deleted", "owner_id", "business_unit_id"))
    found = await conn.execute(select(*columns).where(RecordRef.id.in_([record_id for _, record_id in wanted])))
    return {row[0]: Named(*row[1:]) for row in found}


async def find_ref(uow: UnitOfWork, record_id: UUID) -> RecordRef | None:
    """The copy of a record; None while nothing but its id was heard of."""
    return (await find_refs(uow, {record_id})).get(record_id)


async def find_refs(uow: UnitOfWork, record_ids: Set[UUID]) -> Mapping[UUID, RecordRef]:
    """The copies of records by id, without those of which nothing but the id was heard."""
    if not record_ids:
        return {}
    table = RecordRef.__table__
    found = await uow.execute(select(table).where(table.c.id.in_(record_ids), table.c.version > 0))
    return {row["id"]: RecordRef(**row) for row in found.mappings()}


def may_read(uow: UnitOfWork, ref: RecordRef) -> bool:
    """Does the caller's read on that type cover the record? Of a deleted one only at organisation depth, like history."""
    principal = uow.principal
    if ref.deleted:
        return principal.depth(ref.type, Privilege.READ) is Depth.ORGANIZATION
    tree = uow.runtime.directory.tree
    return principal.covers(ref.type, Privilege.READ, ref.owner_id, ref.business_unit_id, tree)


async def refer_to_any(uow: UnitOfWork, wanted: RefInput, pointer: str) -> RecordRef:
    """The record that a new reference points at: known, readable, active and not merged, or 422 with the pointer."""
    return await require_reference(uow, await find_ref(uow, wanted.id), wanted, pointer)


async def require_reference(uow: UnitOfWork, ref: RecordRef | None, wanted: RefInput, pointer: str) -> RecordRef:
    """The copy that was found, if a new reference may point at it: known, readable, active and not merged, or 422."""
    if ref is None or ref.type != wanted.type or ref.deleted or not may_read(uow, ref):
        raise UnknownReference(pointer, wanted.type)
    if ref.merged_into is not None:
        raise await merged_reference(uow, RecordRef, ref.type, ref.id, pointer)
    if ref.status == "inactive":
        raise InactiveReference(pointer, wanted.type)
    uow.names[ref.id] = Named(ref.name, owner=ref.owner_id, unit=ref.business_unit_id)
    return ref
