"""The housekeeping of every service's worker: it creates and drops partitions, and deletes old rows."""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.configuration.settings import Settings
from crm_kit.events import inbox
from crm_kit.events.timers import Timers
from crm_kit.store import partitions
from crm_kit.store.chores import delete_some
from crm_kit.work import idempotency, outbox
from crm_kit.work.audit import AUDIT
from crm_kit.work.outbox import SENT
from crm_kit.worker import stepped

log = structlog.get_logger(__name__)

REQUEST_DAYS = 90
"""Days for which completed requests of snapshots are kept."""


def register(timers: Timers, kept: Settings) -> None:
    """Add the chores to ``timers``. ``kept`` are the settings with the times for which rows are kept."""

    @timers.every("make partitions", seconds=600)
    async def make_partitions(conn: AsyncConnection) -> int:
        now = await _sure_now(conn)
        for table, days in ((SENT, kept.outbox_days), (AUDIT, kept.audit_days)):
            if made := await partitions.make_next(conn, table, now, now - timedelta(days=days) if days else None):
                return made
        for table in (SENT, AUDIT):
            await partitions.count_stray(conn, table)
        return 0

    @timers.every("drop published events", seconds=600)
    async def drop_published(conn: AsyncConnection) -> int:
        before = await _sure_now(conn) - timedelta(days=kept.outbox_days)
        return await partitions.drop_oldest(conn, SENT, before) or await outbox.forget_stray(conn, before)

    @timers.every("drop history", seconds=600)
    async def drop_history(conn: AsyncConnection) -> int:
        if not kept.audit_days:
            return 0
        return await partitions.drop_oldest(conn, AUDIT, await _sure_now(conn) - timedelta(days=kept.audit_days))

    @timers.every("forget handled events", seconds=60)
    async def forget_handled(conn: AsyncConnection) -> int:
        return await inbox.forget_done(conn, _ago(days=kept.days_of_keys))

    @timers.every("forget skipped messages", seconds=3600)
    async def forget_skipped(conn: AsyncConnection) -> int:
        """Delete skipped messages that are kept under a queue's name, because their ids contain no time."""
        old = "consumer like 'crm.%' and state = 'skipped' and received_at < $1"
        return await delete_some(conn, "inbox", old, _ago(days=kept.days_of_keys))

    @timers.every("forget idempotent answers", seconds=60)
    async def forget_answers(conn: AsyncConnection) -> int:
        return await idempotency.forget_answers(conn, _ago(hours=kept.idempotency_hours))

    @timers.every("forget snapshot requests", seconds=3600)
    async def forget_requests(conn: AsyncConnection) -> int:
        return await delete_some(conn, "snapshot_request", "done_at < $1", _ago(days=REQUEST_DAYS))

    @timers.every("try again what the clock keeps waiting", seconds=60)
    async def try_again(conn: AsyncConnection) -> None:
        if found := await stepped.try_again(conn):
            log.warning("clock.went_back", tried_again=found)


async def _sure_now(conn: AsyncConnection) -> datetime:
    """Return the earlier instant of the process's clock and the database's clock.

    Everything else uses the process's clock. A clock that is months ahead would drop all partitions, which cannot be undone.
    """
    server: datetime = (await conn.exec_driver_sql("select now()")).scalar_one()
    return min(clock.now(), server.astimezone(UTC))


def _ago(*, days: float = 0, hours: float = 0) -> datetime:
    return clock.now() - timedelta(days=days, hours=hours)
