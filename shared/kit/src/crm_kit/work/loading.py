"""The statements that a unit of work loads records with."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, select

from crm_kit.errors import Merged
from crm_kit.store.record import Record, stored_columns, survivor_of
from crm_kit.work.link import Link


def by_id(entity: type[Record], *, lock: bool) -> Select[Any]:
    """A record by ``:id``."""
    statement = _SELECTS.get((entity, lock))
    if statement is None:
        statement = _columns(entity).where(entity.__table__.c.id == bindparam("id"))
        # Not FOR UPDATE: others may go on to make records that refer to this one.
        statement = _SELECTS[entity, lock] = statement.with_for_update(key_share=True) if lock else statement
    return statement


_SELECTS: dict[tuple[type[Record], bool], Select[Any]] = {}


def in_order(entity: type[Record], record_ids: Iterable[UUID]) -> Select[Any]:
    """Several records, locked in the order of their ids."""
    key = entity.__table__.c.id
    return _columns(entity).where(key.in_(list(record_ids))).order_by(key).with_for_update(key_share=True)


def _columns(entity: type[Record]) -> Select[Any]:
    table = entity.__table__
    return select(*(table.c[column] for column in stored_columns(entity)))


async def refuse_merged(link: Link, record: Record) -> None:
    """410 ``merged`` for a record whose place another took: names who is left in the end."""
    if survivor_of(record) is None:
        return
    name = record.entity()
    last = (await (await link.connection()).exec_driver_sql(_SURVIVOR.format(name), (record.id,))).scalar_one()
    raise Merged(name, last)


_SURVIVOR = """
with recursive step as (
  select survivor_id, 1 as n from public."{0}" where id = $1
  union all
  select t.survivor_id, n + 1 from public."{0}" t join step s on t.id = s.survivor_id where t.survivor_id is not null
) select survivor_id from step order by n desc limit 1
"""
"""Who is left in the end, where a survivor was merged later itself."""
