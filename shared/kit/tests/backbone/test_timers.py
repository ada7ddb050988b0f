"""Due rows: each once, across replicas, and one bad row never in the way of the others."""

import asyncio
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import Select, select, text

from crm_kit.events.timers import TimerLoop, Timers
from crm_kit.process.runtime import Runtime
from crm_kit.work.uow import UnitOfWork

from .conftest import rows, until
from .miniature import Thing, ThingUpdated
from .test_relay import make_things


def undone(now: datetime) -> Select[UUID]:
    return select(Thing.id).where(Thing.name != "done", Thing.modified_at <= now).order_by(Thing.modified_at, Thing.id)


def finishing() -> Timers:
    timers = Timers()

    @timers.due("thing.finish", undone)
    async def finish(thing_id: UUID, uow: UnitOfWork) -> None:
        thing = await uow.load(Thing, thing_id)
        if thing.name == "thing 3":
            raise LookupError("never")
        thing.name = "done"
        uow.emit(thing, ThingUpdated)

    return timers


async def test_two_replicas_handle_each_due_row_once_and_leave_a_bad_one_for_later(runtime: Runtime) -> None:
    await make_things(runtime, 30)
    loops = [TimerLoop(finishing(), runtime) for _ in range(2)]
    await asyncio.gather(*(loop.fire_due() for loop in loops))
    assert await rows(runtime, "select name, count(*) from thing group by 1 order by 2") == [
        ("thing 3", 1),
        ("done", 29),
    ]
    assert await rows(runtime, "select count(*) from outbox where type like '%updated%'") == [(29,)]
    assert await loops[0].fire_due() == 0


async def test_a_timer_with_very_many_rows_holds_up_no_other(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_kit.events.timers.TURN_SECONDS", 0.0)
    await make_things(runtime, 1)
    timers, had_its_turn, handled = Timers(), asyncio.Event(), 0

    @timers.due("endless", undone)
    async def go_on(thing_id: UUID, uow: UnitOfWork) -> None:
        nonlocal handled
        handled += 1

    @timers.due("other", undone)
    async def other(thing_id: UUID, uow: UnitOfWork) -> None:
        had_its_turn.set()

    loop = TimerLoop(timers, runtime)
    running = asyncio.create_task(loop.run())
    await asyncio.wait_for(had_its_turn.wait(), 120)
    assert handled > 0
    loop.stop()
    await asyncio.wait_for(running, 120)


async def test_a_chore_runs_at_its_interval(runtime: Runtime) -> None:
    timers, done = Timers(), asyncio.Event()

    @timers.every("sweep", seconds=3600)
    async def sweep(conn: object) -> None:
        assert not done.is_set()
        done.set()

    loop = TimerLoop(timers, runtime)
    running = asyncio.create_task(loop.run())
    await asyncio.wait_for(done.wait(), 120)
    loop.stop()
    await asyncio.wait_for(running, 120)


async def test_a_timer_or_chore_that_cannot_look_and_a_row_that_ends_its_connection_stop_no_other(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is in front of one that works."""
    monkeypatch.setattr("crm_kit.events.timers.POLL_SECONDS", 0.05)
    monkeypatch.setattr("crm_kit.events.timers.FIRST_PAUSE", 3600.0)
    monkeypatch.setattr("crm_kit.events.timers.LONGEST_PAUSE", 3600.0)
    await make_things(runtime, 5)
    timers, swept, looks = Timers(), asyncio.Event(), 0

    def broken(now: datetime) -> Select[UUID]:
        nonlocal looks
        looks += 1
        return select(Thing.id).where(text("name = 1"))

    @timers.due("broken", broken)
    async def never(thing_id: UUID, uow: UnitOfWork) -> None:
        raise AssertionError

    @timers.due("deadly", lambda now: select(Thing.id).where(Thing.name != "done").order_by(Thing.name))
    async def finish(thing_id: UUID, uow: UnitOfWork) -> None:
        thing = await uow.load(Thing, thing_id)
        if thing.name == "thing 0":
            await (await uow.connection()).exec_driver_sql("select pg_terminate_backend(pg_backend_pid())")
        thing.name = "done"
        uow.emit(thing, ThingUpdated)

    @timers.every("bad", seconds=0)
    async def bad(conn: object) -> None:
        raise LookupError

    @timers.every("good", seconds=0)
    async def good(conn: object) -> None:
        swept.set()

    loop = TimerLoop(timers, runtime)
    running = asyncio.create_task(loop.run())

    async def others_are_done() -> bool:
        return await rows(runtime, "select count(*) from thing where name = 'done'") == [(4,)] and swept.is_set()

    await until(others_are_done)
    assert looks == 1, "it rests"
    loop.stop()
    await asyncio.wait_for(running, 120)
