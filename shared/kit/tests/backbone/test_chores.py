"""Housekeeping: everything that has piled up is worked off, by one replica at a time, and what is young stays."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import structlog.testing
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.configuration.settings import Settings
from crm_kit.events.timers import Timers
from crm_kit.process.runtime import Runtime
from crm_kit.store import chores
from crm_kit.store.chores import (
    AT_ONCE,
    ChoreLoop,
    Housekeeping,
    delete_some,
)
from crm_kit.worker import housekeeping

from .conftest import rows, until

ANSWERS = """
insert into idempotency (principal, method, path, key, fingerprint, created_at)
select gen_random_uuid(), 'POST', '/things', n::text, '', $1::timestamptz from generate_series(1, $2::int) n returning 1
"""
KEYS = """
insert into inbox (consumer, source, event_id, type, state, received_at)
select $1, '/crm/mini', (lpad(to_hex($2::bigint), 12, '0') || '7000' || '8000' || lpad(n::text, 12, '0'))::uuid, 'x', $3, now()
from generate_series(1, $4::int) n returning 1
"""


@asynccontextmanager
async def at_work(runtime: Runtime, *replicas: Sequence[Housekeeping]) -> AsyncIterator[None]:
    loops = [ChoreLoop(chores_, runtime.db) for chores_ in replicas]
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(loop.run())
        yield
        for loop in loops:
            loop.stop()


def kept(runtime: Runtime, **settings: object) -> Sequence[Housekeeping]:
    """The chores of a worker with these settings."""
    timers = Timers()
    chosen = {"CRM_SERVICE": "mini", "CRM_SECRET": "-", "DATABASE_URL": runtime.settings.database_url, **settings}
    housekeeping.register(timers, Settings.model_validate(chosen))
    return timers.chores


async def test_replicas_work_off_all_there_is_one_at_a_time(runtime: Runtime) -> None:
    old = clock.now() - timedelta(hours=30)
    await rows(runtime, ANSWERS, old, 2 * AT_ONCE + 1)
    at_it, most, batches = 0, 0, []

    async def forget(conn: AsyncConnection) -> int:
        nonlocal at_it, most
        at_it += 1
        most = max(most, at_it)
        gone = await delete_some(conn, "idempotency", "created_at < $1", clock.now() - timedelta(hours=24))
        at_it -= 1
        batches.append(gone)
        return gone

    async def is_done() -> bool:
        return await rows(runtime, "select count(*) from idempotency") == [(0,)]

    async with at_work(runtime, *([Housekeeping("forget", 0.0, forget)] for _ in range(3))):
        await until(is_done)
    assert most == 1
    assert [gone for gone in batches if gone] == [AT_ONCE, AT_ONCE, 1]


async def test_answers_are_kept_for_the_hours_that_are_set(runtime: Runtime) -> None:
    for hours in (1, 30, 60):
        await rows(runtime, ANSWERS, clock.now() - timedelta(hours=hours), 1)

    async def left(count: int) -> None:
        async def is_left() -> bool:
            return await rows(runtime, "select count(*) from idempotency") == [(count,)]

        await until(is_left)

    async with at_work(runtime, kept(runtime, CRM_IDEMPOTENCY_HOURS=48)):
        await left(2)
    async with at_work(runtime, kept(runtime)):
        await left(1)


async def test_keys_of_handled_events_go_also_of_groups_that_are_no_more(runtime: Runtime) -> None:
    old, young = (int((clock.now() - timedelta(days=days)).timestamp() * 1000) for days in (121, 119))
    for consumer in ("mini.echoes", "mini.removed"):
        for state in ("done", "parked"):
            await rows(runtime, KEYS, consumer, old + (state == "parked"), state, 3)
            await rows(runtime, KEYS, consumer, young + (state == "parked"), state, 3)

    async def is_done() -> bool:
        return await rows(runtime, "select count(*) from inbox where state = 'done'") == [(6,)]

    async with at_work(runtime, kept(runtime)):
        await until(is_done)
    assert await rows(runtime, "select count(*) from inbox where state = 'parked'") == [(12,)]


async def test_a_chore_that_fails_goes_on_where_it_was(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "FIRST_PAUSE", 0.01)
    await rows(runtime, ANSWERS, clock.now(), AT_ONCE + 1)
    failures = 0

    async def forget(conn: AsyncConnection) -> int:
        nonlocal failures
        gone = await delete_some(conn, "idempotency", "created_at <= $1", clock.now())
        if failures < 2:
            failures += 1
            raise LookupError
        return gone

    async def is_done() -> bool:
        return await rows(runtime, "select count(*) from idempotency") == [(0,)]

    with structlog.testing.capture_logs() as told:
        async with at_work(runtime, [Housekeeping("forget", 3600.0, forget)]):
            await until(is_done)

            async def is_told() -> bool:
                return any(line["event"] == "chore.done" for line in told)

            await until(is_told)
    said = [(line["event"], line.get("rows")) for line in told if line["event"].startswith("chore.")]
    assert said == [("chore.failed", None), ("chore.failed", None), ("chore.done", AT_ONCE + 1)]


def test_keys_outlive_the_events_that_could_come_again(runtime: Runtime) -> None:
    with pytest.raises(ValidationError, match="CRM_INBOX_DAYS is 90 and CRM_OUTBOX_DAYS 90"):
        kept(runtime, CRM_INBOX_DAYS=90)
    base = {"CRM_SERVICE": "mini", "CRM_SECRET": "-", "DATABASE_URL": runtime.settings.database_url}
    assert Settings.model_validate({**base, "CRM_OUTBOX_DAYS": 200}).days_of_keys == 230
    assert Settings.model_validate({**base, "CRM_OUTBOX_DAYS": 7, "CRM_INBOX_DAYS": 8}).days_of_keys == 8
