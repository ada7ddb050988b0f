"""``CustomerRef``: what service management knows of sales' accounts and contacts, so that a case may be for one of them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import String, Text, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.access import Privilege
from crm_contracts.envelope import Envelope, parse_type
from crm_contracts.sales import CONTACT
from crm_kit.copies.projections import STUB_VERSION, project
from crm_kit.copies.survivors import MergeableCopy, merged_reference, survivor_told
from crm_kit.errors import InactiveReference, UnknownReference
from crm_kit.store.presenter import Named
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.db import Base


class CustomerRef(MergeableCopy, Base):
    """One account or contact: what a case shows of it, and what decides whether a case may refer to it."""

    __tablename__ = "customer_ref"

    type: Mapped[str] = mapped_column(String(50))
    name: Mapped[str | None] = mapped_column(Text)
    owner_id: Mapped[UUID | None]
    business_unit_id: Mapped[UUID | None]
    status: Mapped[str | None] = mapped_column(String(24))


async def keep_customers(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """One row per customer, at the newest version heard of, in whatever order events arrive."""
    await project(uow, CustomerRef, [(event, _columns(event)) for event in events])


def _columns(envelope: Envelope) -> dict[str, Any]:
    record: Mapping[str, Any] = envelope.data["record"]
    kind = parse_type(envelope.type).entity
    return {
        "type": kind,
        "name": record.get("full_name" if kind == CONTACT.name else "name"),
        "owner_id": envelope.ownerid,
        "business_unit_id": envelope.businessunit,
        "status": record.get("status"),
        "merged_into": survivor_told(envelope),
    }


async def names_of(conn: AsyncConnection, wanted: set[tuple[str, UUID]]) -> Mapping[UUID, Named]:
    """The names of customers that cases are for, whether they are gone, and whose they are or were."""
    columns = (getattr(CustomerRef, name) for name in ("id", "name", "deleted", "owner_id", "business_unit_id"))
    found = await conn.execute(select(*columns).where(CustomerRef.id.in_([record_id for _, record_id in wanted])))
    return {row[0]: Named(*row[1:]) for row in found}


async def refer_to_customer(uow: UnitOfWork, kind: str, record_id: UUID, pointer: str) -> None:
    """Check a new reference to an account or contact: known here, readable to the caller, and active.

    Raises 422 with the pointer: ``inactive-reference``, ``merged-reference``, or ``unknown-reference`` for everything that
    the caller would not find in sales either, and for what this service has only heard the id of.
    """
    table = CustomerRef.__table__
    known = select(table).where(table.c.id == record_id, table.c.version > STUB_VERSION)
    row = (await uow.execute(known)).one_or_none()
    if row is None or row.type != kind or row.deleted:
        raise UnknownReference(pointer, kind)
    tree = uow.runtime.directory.tree
    if not uow.principal.covers(kind, Privilege.READ, row.owner_id, row.business_unit_id, tree):
        raise UnknownReference(pointer, kind)
    if row.merged_into is not None:
        raise await merged_reference(uow, CustomerRef, kind, record_id, pointer)
    if row.status == "inactive":
        raise InactiveReference(pointer, kind)
    uow.names[record_id] = Named(row.name, owner=row.owner_id, unit=row.business_unit_id)
