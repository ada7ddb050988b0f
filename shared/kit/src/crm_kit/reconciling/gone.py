"""Marks copies as deleted, without an event, whose records their publisher does not have."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.events import inbox, own_rows
from crm_kit.events.consumers import Copies, Group
from crm_kit.events.inbox import Line
from crm_kit.events.ordering import Place
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling.parties import Publisher
from crm_kit.store.database import fetch
from crm_kit.work.uow import UnitOfWork

_SKIP = """
update inbox set state = 'skipped', body = null, next_attempt_at = null,
  skip_reason = 'a rebuild found that its publisher does not have the record'
where consumer = $1 and source = $2 and entity = any($3::uuid[]) and epoch < $4
  and state in ('pending', 'waiting', 'parked')
"""
_DELETED = "update {0} set deleted = true where id = any($1::uuid[]) and not deleted"
_ENDED = "update {0} set deleted = true, epoch = greatest(epoch, $2) where id = any($1::uuid[])"


async def forget(
    runtime: Runtime, conn: AsyncConnection, group: Group, source: str, ids: Sequence[UUID], epoch: int
) -> None:
    """Mark a group's copies of these records as deleted. Call it inside a transaction.

    Positions, or the copies of a keyless group, stay as tombstones.
    """
    uow = UnitOfWork.for_timer(conn, runtime)
    if group.keyless:
        await own_rows.lock_copies(conn, group, ids)
        for handler in group.forgets:
            await handler(ids, uow)
        for copies in group.copies:
            await fetch(conn, _ENDED.format(copies.table), (list(ids), epoch))
        await uow.flush()
    else:
        positions = await inbox.lock_positions(conn, [Line(group.name, source, entity) for entity in ids])
        for handler in group.forgets:
            await handler(ids, uow)
        for copies in group.copies:
            await fetch(conn, _DELETED.format(copies.table), (list(ids),))
        await uow.flush()
        gone = [(line, Place(max(epoch, place.epoch), place.version), True) for line, place in positions.items()]
        await inbox.advance(conn, gone)
    await conn.exec_driver_sql(_SKIP, (group.name, source, list(ids), epoch))


# A copy without a position comes from no handled event. A copy whose position is deleted was left behind.
_STRAY = """
select t.id from {0} t where not t.deleted and t.version > 0 {1} and not exists (
  select from inbox_position p where p.consumer = $1 and p.source = $2 and p.entity = t.id and not p.deleted
    and p.version > 0)
limit $3
"""


async def strays(conn: AsyncConnection, group: Group, copies: Copies, publisher: Publisher, limit: int) -> list[UUID]:
    """Return up to ``limit`` copies of a publisher's records that have no valid position."""
    kinds = [entity.name for entity in publisher.entities if entity in copies.entities]
    if not kinds:
        return []
    condition, parameters = "", [group.name, publisher.source, limit]
    if copies.kind:
        condition, parameters = f"and t.{copies.kind} = any($4::text[])", [*parameters, kinds]
    rows: Any = await fetch(conn, _STRAY.format(copies.table, condition), parameters)
    return [row[0] for row in rows]
