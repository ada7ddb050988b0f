"""What fails again and again is tried less and less often: no loop spins, and nobody else waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
import structlog

from crm_kit import clock
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.publishing import Publisher
from crm_kit.events import timers
from crm_kit.events.intake import Intake
from crm_kit.events.relay import Relay
from crm_kit.events.replay import Snapshots, request_snapshot
from crm_kit.events.timers import TimerLoop, Timers
from crm_kit.process.runtime import Runtime
from crm_kit.store.notify import Notifier
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

from .miniature import Thing, ThingUpdated, consumers
from .test_relay import make_things
from .test_timers import undone

ATTEMPTS = 6


class Failing:
    """Fails each time it is called, and tells after so many times."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.calls = 0
        self.enough = asyncio.Event()

    async def __call__(self, *_: Any, **__: Any) -> Any:
        self.calls += 1
        if self.calls >= ATTEMPTS:
            self.enough.set()
        raise self._error


async def seconds_of(failing: Failing, run: Callable[[], Awaitable[None]], stop: Callable[[], None] | None) -> float:
    """How long it takes until so many attempts have failed."""
    began = clock.monotonic()
    task = asyncio.ensure_future(run())
    async with asyncio.timeout(120):
        await failing.enough.wait()
    seconds: float = clock.monotonic() - began
    if stop is not None:
        stop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return seconds


def least(first: float) -> float:
    """The shortest that so many attempts take whose pauses double."""
    return sum(first * 2.0**n / 2 for n in range(ATTEMPTS - 1)) * 0.95


async def test_a_session_that_opens_and_breaks_at_once(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(BrokerDown("each time"))

    async def breaks(*_: object) -> AsyncIterator[None]:
        yield await failing()

    monkeypatch.setattr(intake, "_serve", breaks)
    assert await seconds_of(failing, intake.run, intake.stop) > least(0.1)


async def test_a_relay_whose_broker_refuses(
    runtime: Runtime, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay, failing = Relay("mini", runtime.db, publisher), Failing(BrokerDown("each time"))
    monkeypatch.setattr(relay, "drain", failing)
    assert await seconds_of(failing, relay.run, relay.stop) > least(0.2)


async def test_a_snapshot_that_cannot_be_sent(runtime: Runtime, amqp_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshots = Snapshots("mini", runtime, consumers, {}, amqp_url)
    async with runtime.db.begin() as conn:
        await request_snapshot(conn, id_=new_id(), entities=["thing"], queue="crm.mini.inbox", requested_by="a test")
    monkeypatch.setattr("crm_kit.events.replay.POLL_SECONDS", 0.1)
    failing = Failing(BrokerDown("each time"))
    monkeypatch.setattr(snapshots, "serve_one", failing)
    assert await seconds_of(failing, snapshots.run, snapshots.stop) > least(0.1)


async def test_a_connection_that_breaks_as_soon_as_it_stands(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier, failing = Notifier(database_url, "a test"), Failing(ConnectionResetError())
    monkeypatch.setattr(notifier, "_flush", failing)
    assert await seconds_of(failing, notifier._run, None) > least(0.1)


async def test_a_timer_whose_rows_all_fail_rests_and_the_others_go_on(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "MOST_FAILING", 5)
    await make_things(runtime, 20)
    found, attempts, others = Timers(), 0, 0

    @found.due("all fail", undone)
    async def fail(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        raise LookupError("never")

    @found.due("the other", undone)
    async def succeed(thing_id: UUID, uow: UnitOfWork) -> None:
        nonlocal others
        others += 1
        thing = await uow.load(Thing, thing_id)
        thing.name = "done"
        uow.emit(thing, ThingUpdated)

    with structlog.testing.capture_logs():
        loop = TimerLoop(found, runtime)
        await loop.fire_due()
        assert attempts == timers.FAILURES_A_ROUND, "with more failing rows than are remembered, none would be the last"
        await loop.fire_due()
    assert (attempts, others) == (timers.FAILURES_A_ROUND, 20)


async def test_a_timer_whose_rows_fail_slowly_rests_after_as_many_failures_in_many_turns(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "MOST_FAILING", 5)
    monkeypatch.setattr(timers, "TURN_SECONDS", 0.0)
    await make_things(runtime, 20)
    found, attempts = Timers(), 0

    @found.due("all fail", undone)
    async def fail(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        raise LookupError("never")

    loop, [timer] = TimerLoop(found, runtime), found.timers
    with structlog.testing.capture_logs():
        # A turn of no length handles one row.
        for turn in range(timers.FAILURES_A_ROUND):
            await loop._in_turn(timer)
            assert attempts == turn + 1
        await loop._in_turn(timer)
    assert attempts == timers.FAILURES_A_ROUND


async def test_a_chore_that_fails_keeps_no_other_from_its_turn(runtime: Runtime) -> None:
    found, done = Timers(), asyncio.Event()
    attempts = 0

    @found.every("fails", seconds=0)
    async def fail(conn: object) -> None:
        nonlocal attempts
        attempts += 1
        raise LookupError("never")

    @found.every("works", seconds=0)
    async def work(conn: object) -> None:
        done.set()

    with structlog.testing.capture_logs():
        loop = TimerLoop(found, runtime)
        running = asyncio.create_task(loop.run())
        async with asyncio.timeout(120):
            await done.wait()
        loop.stop()
        await running
    assert attempts == 1
