"""Parts by time: made ahead, dropped whole, while everybody reads and writes on."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.settings import Settings
from crm_kit.events.relay import Relay
from crm_kit.events.timers import Timers
from crm_kit.process.runtime import Runtime
from crm_kit.store import partitions
from crm_kit.store.outages import database_busy
from crm_kit.store.partitions import Partitioned
from crm_kit.work.audit import AUDIT
from crm_kit.work.outbox import SENT, SHARDS, forget_stray
from crm_kit.worker import housekeeping

from .conftest import rows
from .test_relay import PENDING, make_things

WHERE = "select distinct tableoid::regclass::text from outbox where state = 'published'"


async def publish_all(runtime: Runtime, publisher: Publisher) -> None:
    relay = Relay("mini", runtime.db, publisher)
    while await rows(runtime, PENDING) != [(0,)]:
        await relay.drain()


async def make_all(conn: AsyncConnection, table: Partitioned, now: datetime, oldest: datetime | None = None) -> int:
    made = 0
    while await partitions.make_next(conn, table, now, oldest):
        made += 1
    return made


async def test_parts_are_made_ahead_once(runtime: Runtime) -> None:
    later = clock.now() + timedelta(days=5)
    async with runtime.db.begin() as conn:
        before = await partitions.parts(conn, SENT)
        assert len(before) == 1 + SENT.ahead
        assert await make_all(conn, SENT, clock.now()) == 0
        assert await partitions.make_next(conn, SENT, later, None) == 1, "one in a transaction"
        assert await make_all(conn, SENT, later) == 4
        after = await partitions.parts(conn, SENT)
        assert after[: len(before)] == before
        assert after[-1].until == SENT.after(SENT.begin(later + timedelta(days=SENT.ahead)))
        assert await make_all(conn, AUDIT, clock.now() + timedelta(days=31)) in (1, 2)


async def test_after_a_long_rest_nothing_is_made_that_would_be_dropped(runtime: Runtime) -> None:
    later = clock.now() + timedelta(days=500)
    async with runtime.db.begin() as conn:
        made = await make_all(conn, SENT, later, later - timedelta(days=2))
        assert made == 2 + 1 + SENT.ahead
        assert (await partitions.parts(conn, SENT))[-made].until == SENT.after(later - timedelta(days=2))


async def test_what_is_published_moves_to_the_part_of_its_day(runtime: Runtime, publisher: Publisher) -> None:
    await make_things(runtime, 3)
    assert await rows(runtime, "select distinct tableoid::regclass::text from outbox") == [
        ("partitions.outbox_pending",)
    ]
    await publish_all(runtime, publisher)
    [(part,)] = await rows(runtime, WHERE)
    assert part.startswith("partitions.outbox_sent_2")
    assert await rows(runtime, "select count(*) from only partitions.outbox_pending") == [(0,)]


async def test_a_row_that_no_part_takes_is_seen_and_moves_when_its_part_is_made(
    runtime: Runtime, publisher: Publisher
) -> None:
    await make_things(runtime, 3)
    await rows(runtime, "update outbox set created_at = created_at + interval '8 days' returning 1")
    await publish_all(runtime, publisher)
    assert await rows(runtime, WHERE) == [("partitions.outbox_sent_default",)]
    async with runtime.db.begin() as conn:
        assert await partitions.count_stray(conn, SENT) == 3
        await make_all(conn, SENT, clock.now() + timedelta(days=8))
        assert await partitions.count_stray(conn, SENT) == 0
    [(part,)] = await rows(runtime, WHERE)
    assert part == f"partitions.outbox_sent_{clock.now() + timedelta(days=8):%Y%m%d}"


async def test_a_row_that_no_part_takes_any_more_goes_when_it_is_old(runtime: Runtime, publisher: Publisher) -> None:
    await make_things(runtime, 3)
    await rows(runtime, "update outbox set created_at = created_at - interval '99 days' returning 1")
    await publish_all(runtime, publisher)
    await make_things(runtime, 2)
    async with runtime.db.begin() as conn:
        assert await forget_stray(conn, clock.now() - timedelta(days=90)) == 0, "published just now"
        assert await forget_stray(conn, clock.now() + timedelta(days=1)) == 3
    assert await rows(runtime, "select state from outbox") == [("pending",)] * 2


async def test_a_part_is_dropped_whole_while_others_write_and_a_reader_is_waited_for(
    runtime: Runtime, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_things(runtime, 3)
    await publish_all(runtime, publisher)
    async with runtime.db.begin() as conn:
        [first, *others] = await partitions.parts(conn, SENT)
    async with runtime.db.begin() as reader:
        assert len((await reader.exec_driver_sql("select body from outbox where state = 'published'")).all()) == 3
        with pytest.raises(DBAPIError) as refused:
            async with runtime.db.begin() as conn:
                await partitions.drop_oldest(conn, SENT, first.until)
        assert database_busy(refused.value)
        async with asyncio.timeout(120), runtime.db.begin() as conn:
            # The lock is held from here on, as while files are removed: who writes does not need it.
            monkeypatch.setattr(partitions, "LOCK_WAIT", "120s")
            dropping = asyncio.create_task(_drop(runtime))
            await _until_it_waits(runtime)
            await make_things(runtime, 2)
        assert len((await reader.exec_driver_sql("select body from outbox where state = 'published'")).all()) == 3
    assert await dropping == 1
    async with runtime.db.begin() as conn:
        assert await partitions.parts(conn, SENT) == others
        assert await partitions.drop_oldest(conn, SENT, first.until) == 0
    assert await rows(runtime, "select state from outbox") == [("pending",)] * 2


async def test_a_clock_that_is_ahead_drops_nothing_and_leaves_no_gap(
    runtime: Runtime, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_things(runtime, 3)
    await publish_all(runtime, publisher)
    chosen = {"CRM_SERVICE": "mini", "CRM_SECRET": "-", "DATABASE_URL": runtime.settings.database_url}
    timers, ahead = Timers(), clock.now() + timedelta(days=4000)
    housekeeping.register(timers, Settings.model_validate({**chosen, "CRM_AUDIT_DAYS": 30}))
    chores = {chore.name: chore.chore for chore in timers.chores}
    monkeypatch.setattr(clock, "now", lambda: ahead)
    async with runtime.db.begin() as conn:
        before = await partitions.parts(conn, SENT), await partitions.parts(conn, AUDIT)
        for name in ("make partitions", "drop published events", "drop history"):
            assert await chores[name](conn) == 0
        assert (await partitions.parts(conn, SENT), await partitions.parts(conn, AUDIT)) == before


async def _drop(runtime: Runtime) -> int:
    async with runtime.db.begin() as conn:
        [first, *_] = await partitions.parts(conn, SENT)
        return await partitions.drop_oldest(conn, SENT, first.until)


async def _until_it_waits(runtime: Runtime) -> None:
    waiting = (
        "select exists (select from pg_locks l join pg_stat_activity a using (pid) where not l.granted"
        " and l.mode = 'AccessExclusiveLock' and a.datname = current_database())"
    )
    async with asyncio.timeout(120):
        while await rows(runtime, waiting) != [(True,)]:  # noqa: ASYNC110  # it happens in the database
            await asyncio.sleep(0.02)


async def test_the_relay_looks_at_one_part_alone(runtime: Runtime) -> None:
    from crm_kit.events import relay
    from crm_kit.worker import backlog  # their statements, whatever they are called

    now = clock.now()
    for sql, parameters in (
        (relay._ANY, ()),
        (relay._CLAIM, (now, 1, 8, SHARDS)),
        (relay._READ, ([1], now, 50)),
        (relay._MARK, ([1], now)),
        (backlog._OUTBOX, (now,)),
    ):
        async with runtime.db.begin() as conn:
            plan = "\n".join(row[0] for row in await conn.exec_driver_sql(f"explain {sql}", parameters))
        assert "outbox_pending" in plan
        assert "outbox_sent" not in plan, plan
