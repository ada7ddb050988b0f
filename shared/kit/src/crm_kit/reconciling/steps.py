"""Prepares steps for a new epoch. What they did for lost events stays done, and they continue with the first events of the
restored publisher."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.events import inbox
from crm_kit.events.consumers import Group
from crm_kit.events.epochs import Epoch
from crm_kit.events.inbox import Line
from crm_kit.events.ordering import Place
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling.parties import SMALLEST, Publisher, positions_after

PAGE = 1000

_BEGAN_WITH = """
select entity_id, min(entity_version) from outbox where seq > $1 and entity_id = any($2::uuid[]) group by entity_id
"""


async def carry_over(follower: Runtime, group: Group, publisher: Publisher, epoch: Epoch) -> int:
    """Let a group of steps continue with the epoch's first event of each record; returns the number of records.

    A record whose last events from before the restore have not arrived yet keeps its position, so that these are handled first.
    """
    carried, after = 0, SMALLEST
    while True:
        async with follower.db.autocommit() as conn:
            found = await positions_after(conn, group.name, publisher.source, after, PAGE)
        if not found:
            return carried
        after = found[-1][0]
        ids = [entity for entity, place in found if place.epoch < epoch.number]
        if ids:
            async with publisher.runtime.db.autocommit() as conn:
                before = await _before(conn, publisher, ids, epoch)
                known = await publisher.ever_had(conn, ids)
            carried += await _carry(follower, group, publisher.source, ids, before, known, epoch)


async def _before(conn: AsyncConnection, publisher: Publisher, ids: Sequence[UUID], epoch: Epoch) -> dict[UUID, int]:
    """Return the versions of the restored records at the beginning of the epoch."""
    began: Sequence[Any] = (await conn.exec_driver_sql(_BEGAN_WITH, (epoch.outbox_seq, list(ids)))).all()
    return await publisher.versions(conn, ids) | {row[0]: row[1] - 1 for row in began}


async def _carry(
    follower: Runtime,
    group: Group,
    source: str,
    ids: Sequence[UUID],
    before: dict[UUID, int],
    known: set[UUID],
    epoch: Epoch,
) -> int:
    async with follower.db.begin() as conn:
        await conn.exec_driver_sql("select 1")
        lines = [Line(group.name, source, entity) for entity in ids]
        moved = []
        for line, place in (await inbox.lock_positions(conn, lines)).items():
            version = before.get(line.entity)
            if place.epoch >= epoch.number:
                continue
            if version is not None and place.version >= version:
                moved.append((line, Place(epoch.number, version), False))
            elif version is None and line.entity not in known:
                # The record existed only in lost events, so nothing more has to be done for it.
                moved.append((line, Place(epoch.number, place.version), True))
        await inbox.advance(conn, moved)
        return len(moved)
