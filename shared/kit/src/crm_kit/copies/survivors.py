"""Copies of others' records that may be merged: who goes on in their place, and what a reference to one is refused with."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Mapped

from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import Projected
from crm_kit.errors import Merged, MergedReference
from crm_kit.work.uow import UnitOfWork


class MergeableCopy(Projected):
    """A copy that knows whose place its record gave up for whom; it has its owner's columns beside."""

    merged_into: Mapped[UUID | None]


def survivor_told(envelope: Envelope) -> str | None:
    """The survivor that an event names: `merged` as it happens, a snapshot ever after."""
    told: str | None = envelope.data.get("survivor_id")
    return told


# Steps are bounded: after a publisher was restored, what is left of the lost story may lead in a circle with the new one.
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
    """Who goes on in a record's place in the end, as far as this service has heard; None while nobody does."""
    found = await _last(uow, model, record_id)
    return None if found is None else found.id


async def merge_told(
    uow: UnitOfWork, model: type[MergeableCopy], record_id: UUID, epoch: int
) -> Literal["told", "unheard", "lost"]:
    """What the copy of a record says of a merge that its publisher told in an epoch.

    ``unheard`` while the copy has not heard of it. ``lost`` when the merge is part of a story that its publisher lost in a
    restore: the copy then is of a later epoch, and was not merged in it.
    """
    sql = f"select epoch, merged_into is not null from {model.__tablename__} where id = $1"
    row = (await (await uow.connection()).exec_driver_sql(sql, (record_id,))).one_or_none()
    if row is None:
        return "unheard"
    copied_in, is_merged = tuple(row)
    return "told" if is_merged else "lost" if copied_in > epoch else "unheard"


async def merged(uow: UnitOfWork, model: type[MergeableCopy], kind: str, record_id: UUID) -> Merged:
    """What asking for a merged record is answered with."""
    return Merged(kind, (await _last(uow, model, record_id)).id)


async def merged_reference(
    uow: UnitOfWork, model: type[MergeableCopy], kind: str, record_id: UUID, pointer: str
) -> MergedReference:
    """What a reference to a merged record is refused with: it names the survivor to who may read that one."""
    last = await _last(uow, model, record_id)
    readable = last.version > 0 and uow.reach(kind).covers(last.owner_id, last.business_unit_id)
    return MergedReference(pointer, kind, Merged(kind, last.id).members["survivor"] if readable else None)


async def _last(uow: UnitOfWork, model: type[MergeableCopy], record_id: UUID) -> Any:
    sql = _LAST.format(model.__tablename__)
    return (await (await uow.connection()).exec_driver_sql(sql, (record_id,))).one_or_none()
