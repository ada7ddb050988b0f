"""Copies to which records of this service refer by type and id: their names, and the check of new references."""

from collections.abc import Callable, Mapping, Set
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import String, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.catalogue import entity_named
from crm_contracts.envelope import Envelope, parse_type
from crm_kit.copies.projections import STUB_VERSION
from crm_kit.copies.referable import ReferableCopy, reach_told
from crm_kit.copies.survivors import MergeableCopy, merged_reference, survivor_told
from crm_kit.errors import InactiveReference, UnknownReference
from crm_kit.store.presenter import ReferenceName
from crm_kit.work.uow import UnitOfWork


class RecordCopy(MergeableCopy, ReferableCopy):
    """A copy of a record of any of several entities. It has type, name, owner, unit, status, and the survivor of a merge."""

    type: Mapped[str] = mapped_column(String(50))
    name: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str | None] = mapped_column(String(24))


C = TypeVar("C", bound=RecordCopy)


def record_told(envelope: Envelope) -> Mapping[str, Any]:
    """Return the facts of a ``RecordCopy``. The declaration of the entity gives the record's name."""
    record: Mapping[str, Any] = envelope.data["record"]
    kind = parse_type(envelope.type).entity
    return {
        "type": kind,
        "name": entity_named(kind).name_of(record),
        **reach_told(envelope),
        "status": record.get("status"),
        "merged_into": survivor_told(envelope),
    }


def names_in(model: type[RecordCopy]) -> Callable[[AsyncConnection, set[tuple[str, UUID]]], Any]:
    """Return a function that looks up name, deletion, owner and unit of the copies to which a service's records refer."""

    async def names_of(conn: AsyncConnection, wanted: set[tuple[str, UUID]]) -> Mapping[UUID, ReferenceName]:
        columns = (getattr(model, name) for name in ("id", "name", "deleted", "owner_id", "business_unit_id"))
        found = await conn.execute(select(*columns).where(model.id.in_([record_id for _, record_id in wanted])))
        return {row[0]: ReferenceName(*row[1:]) for row in found}

    return names_of


async def find_copies(uow: UnitOfWork, model: type[C], record_ids: Set[UUID]) -> Mapping[UUID, C]:
    """Return the copies of records by id, without stubs."""
    if not record_ids:
        return {}
    table = model.__table__
    found = await uow.execute(select(table).where(table.c.id.in_(record_ids), table.c.version > STUB_VERSION))
    return {row["id"]: model(**row) for row in found.mappings()}


def may_read(uow: UnitOfWork, copy: RecordCopy) -> bool:
    """Whether the caller may read the record. A deleted one needs the depth of the organisation, as for the history."""
    reach = uow.reach(copy.type)
    return reach.everything if copy.deleted else reach.covers(copy.owner_id, copy.business_unit_id)


async def require_reference(uow: UnitOfWork, copy: C | None, kind: str, record_id: UUID, pointer: str) -> C:
    """Return ``copy`` if a new reference may point at it: it exists, is active and not merged, and the caller may read it.

    Raises 422 with ``pointer``: ``inactive-reference``, ``merged-reference``, or ``unknown-reference`` for a record that does not
    exist, has another type, was deleted or is not readable to the caller.
    """
    if copy is None or copy.type != kind or copy.deleted or not may_read(uow, copy):
        raise UnknownReference(pointer, kind)
    if copy.merged_into is not None:
        raise await merged_reference(uow, type(copy), kind, record_id, pointer)
    if copy.status == "inactive":
        raise InactiveReference(pointer, kind)
    uow.names[record_id] = ReferenceName(copy.name, owner=copy.owner_id, unit=copy.business_unit_id)
    return copy
