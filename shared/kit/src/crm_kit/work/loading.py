"""The statements with which a unit of work loads records."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Select, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from crm_kit.errors import Merged
from crm_kit.store.record import Record, stored_columns, survivor_of
from crm_kit.work.link import Link


def by_id(entity: type[Record], *, lock: bool) -> Select[Any]:
    """Return the statement that selects a record by ``:id``, and locks it if ``lock`` is true."""
    statement = _SELECTS.get((entity, lock))
    if statement is None:
        statement = _columns(entity).where(entity.__table__.c.id == bindparam("id"))
        # Not FOR UPDATE, which would block others that insert references to this record.
        statement = _SELECTS[entity, lock] = statement.with_for_update(key_share=True) if lock else statement
    return statement


_SELECTS: dict[tuple[type[Record], bool], Select[Any]] = {}


def by_ids(entity: type[Record]) -> Select[Any]:
    """Return the statement that selects the records with ``:ids``."""
    statement = _SEVERAL.get(entity)
    if statement is None:
        key = entity.__table__.c.id
        ids = bindparam("ids", type_=ARRAY(key.type))
        statement = _SEVERAL[entity] = _columns(entity).where(key == ids.any_())
    return statement


_SEVERAL: dict[type[Record], Select[Any]] = {}


def in_order(entity: type[Record], record_ids: Iterable[UUID]) -> Select[Any]:
    """Return the statement that selects several records and locks them in the order of their ids."""
    key = entity.__table__.c.id
    return _columns(entity).where(key.in_(list(record_ids))).order_by(key).with_for_update(key_share=True)


def _columns(entity: type[Record]) -> Select[Any]:
    table = entity.__table__
    return select(*(table.c[column] for column in stored_columns(entity)))


async def refuse_merged(link: Link, record: Record) -> None:
    """Raise 410 ``merged`` if the record was merged into another. The error names the last survivor."""
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
"""Finds the last survivor, because a survivor may have been merged later."""
