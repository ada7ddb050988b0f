"""Copies of records that may be merged: their survivors, and the errors for merged records."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Mapped

from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import Projected
from crm_kit.errors import Merged, MergedReference
from crm_kit.work.uow import UnitOfWork


class MergeableCopy(Projected):
    """A copy with the survivor of its record, if the record was merged. It is used together with the columns of the owner."""

    merged_into: Mapped[UUID | None]


def survivor_told(envelope: Envelope) -> str | None:
    """Return the survivor that an event names. A `merged` event and later snapshots name one."""
    told: str | None = envelope.data.get("survivor_id")
    return told


def is_gone(envelope: Envelope) -> bool:
    """Return whether the record of an event was deleted, or merged into another."""
    return ".deleted.v" in envelope.type or survivor_told(envelope) is not None


# Steps are bounded, because after a restore of the publisher, merges that it lost may form a circle with new ones.
_LAST = """
with recursive step as (
  select merged_into as id, 1 as n from {0} where id = $1 and merged_into is not null
  union all
  select t.merged_into, n + 1 from {0} t join step s on t.id = s.id where t.merged_into is not null and n < 100
), last as (select id from step order by n desc limit 1)
select l.id, t.owner_id, t.business_unit_id, coalesce(t.version, 0) as version
from last l left join {0} t on t.id = l.id
"""


async def survivor_known(uow: UnitOfWork, model: type[MergeableCopy], record_id: UUID) -> UUID | None:
    """Return the last survivor of a record that this service knows; None if the record was not merged."""
    found = await _last(uow, model, record_id)
    return None if found is None else found.id


async def merge_told(
    uow: UnitOfWork, model: type[MergeableCopy], record_id: UUID, epoch: int
) -> Literal["told", "unheard", "lost"]:
    """Return whether the copy of a record knows of its merge, which the publisher announced in ``epoch``.

    ``told`` means that the copy is merged, and ``unheard`` that the event has not arrived. ``lost`` means that the publisher
    lost the merge in a restore: the copy is of a later epoch and is not merged.
    """
    sql = f"select epoch, merged_into is not null from {model.__tablename__} where id = $1"
    row = (await (await uow.connection()).exec_driver_sql(sql, (record_id,))).one_or_none()
    if row is None:
        return "unheard"
    copied_in, is_merged = tuple(row)
    return "told" if is_merged else "lost" if copied_in > epoch else "unheard"


async def merged(uow: UnitOfWork, model: type[MergeableCopy], kind: str, record_id: UUID) -> Merged:
    """Return the error 410 for a request of a merged record."""
    return Merged(kind, (await _last(uow, model, record_id)).id)


async def merged_reference(
    uow: UnitOfWork, model: type[MergeableCopy], kind: str, record_id: UUID, pointer: str
) -> MergedReference:
    """Return the error for a reference to a merged record. It names the survivor if the caller may read it."""
    last = await _last(uow, model, record_id)
    readable = last.version > 0 and uow.reach(kind).covers(last.owner_id, last.business_unit_id)
    return MergedReference(pointer, kind, Merged(kind, last.id).members["survivor"] if readable else None)


async def _last(uow: UnitOfWork, model: type[MergeableCopy], record_id: UUID) -> Any:
    sql = _LAST.format(model.__tablename__)
    return (await (await uow.connection()).exec_driver_sql(sql, (record_id,))).one_or_none()
