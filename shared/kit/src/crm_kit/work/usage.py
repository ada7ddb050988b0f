"""What refers to a record in its own service: why it cannot be deleted."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, cast, literal, select, union_all
from sqlalchemy.dialects.postgresql import ARRAY

from crm_kit.errors import DomainError
from crm_kit.store.record import OwnedRecord, Record
from crm_kit.store.references import referring_to
from crm_kit.work.uow import UnitOfWork

SHOWN = 10


async def refuse_in_use(uow: UnitOfWork, record: Record) -> None:
    """409 ``in-use`` listing up to ten records of the same service whose columns refer to this one; those the caller may
    not read only as hidden."""
    parts = []
    for referrer in referring_to(type(record).registry, record.entity()):
        entity = referrer.entity
        table, name = entity.__table__, entity.called
        owned = issubclass(entity, OwnedRecord)
        owner = table.c.owner_id if owned else cast(None, Uuid)
        unit = table.c.business_unit_id if owned else cast(None, Uuid)
        parts.append(
            select(
                literal(entity.entity()).label("kind"),
                table.c.id,
                (cast(None, Text) if name is None else table.c[name]).label("name"),
                owner.label("owner"),
                unit.label("unit"),
            )
            .where(_refers(table.c[referrer.column], record.id))
            .limit(SHOWN)
            .subquery()
            .select()
        )
    found = (await uow.execute(union_all(*parts).limit(SHOWN))).all() if parts else []
    if found:
        references = [as_referrer(uow, row) for row in found]
        raise DomainError(
            "in-use",
            "Other records refer to this one. Change or delete them first.",
            members={"references": references},
        )


def _refers(column: Any, record_id: UUID) -> ColumnElement[bool]:
    if isinstance(column.type, ARRAY):
        return column.contains([record_id])  # type: ignore[no-any-return]  # SQLAlchemy types columns as Any here
    return column == record_id  # type: ignore[no-any-return]  # likewise


def as_referrer(uow: UnitOfWork, row: Any) -> dict[str, Any]:
    """One record of a problem's list, from its (entity, id, name, owner, unit): only hidden where the caller may not read it."""
    kind, record_id, name, owner, unit = row
    if uow.reach(kind).covers(owner, unit):
        return {"type": kind, "id": record_id, "name": name}
    return {"hidden": True}
