"""What processes do while there is nothing to do, and that they find by themselves what nobody told them."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
import uvicorn

from crm_kit.broker.publishing import Publisher
from crm_kit.events.relay import POLL_SECONDS, Relay
from crm_kit.http.server import Waiting
from crm_kit.process.runtime import Runtime
from crm_kit.signals import exporting
from crm_kit.signals.attention import Attention
from crm_kit.store.notify import Notifier
from crm_kit.store.pace import RARELY, Pace

from .conftest import WorkerProcess, rows, until
from .test_relay import make_things

COMMITS = "select xact_commit from pg_stat_database where datname = current_database()"
SETTLED_SECONDS = WATCHED_SECONDS = 20
LOOKED_BEFORE = 12
"""Looks of a worker in a second while every loop looked at its own fixed interval."""


async def test_an_idle_worker_asks_its_database_next_to_nothing(worker: WorkerProcess, runtime: Runtime) -> None:
    await worker.start()

    async def is_ready() -> bool:
        try:
            async with aiohttp.request("GET", f"http://127.0.0.1:{worker.port}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    await until(is_ready)
    await asyncio.sleep(SETTLED_SECONDS)
    [(before,)] = await rows(runtime, COMMITS)
    await asyncio.sleep(WATCHED_SECONDS)
    [(after,)] = await rows(runtime, COMMITS)
    assert after - before < LOOKED_BEFORE * WATCHED_SECONDS / 4


async def test_pauses_grow_while_nothing_is_found_and_begin_anew_after_something(runtime: Runtime) -> None:
    pace = Pace(runtime.notifier, "news", POLL_SECONDS)
    await until(listening(runtime.notifier))
    pauses = [pace._next(found=False) for _ in range(12)]
    assert pauses[0] == POLL_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == RARELY
    assert pace._next(found=True) == POLL_SECONDS
    assert pace._next(found=False) < RARELY


async def test_who_cannot_be_notified_looks_often(database_url: str) -> None:
    pace = Pace(Notifier(database_url, "not started"), "news", POLL_SECONDS)
    assert {pace._next(found=False) for _ in range(12)} == {POLL_SECONDS}


async def test_a_process_that_connects_makes_the_others_look(runtime: Runtime, database_url: str) -> None:
    """A process may have died between its commit and its notification, and this one takes its place."""
    heard: list[str] = []
    runtime.notifier.listen("news", heard.append)
    await until(listening(runtime.notifier))
    heard.clear()
    successor = Notifier(database_url, "successor")
    await successor.start()
    await until(lambda: equal(heard, [""]))
    await successor.stop()


async def test_an_event_that_nobody_was_told_of_is_published(runtime: Runtime, publisher: Publisher) -> None:
    """As after a notification that was lost on its way."""
    relay = Relay("mini", runtime.db, publisher, runtime.notifier)
    running = asyncio.create_task(relay.run())
    await until(listening(runtime.notifier))
    await make_things(runtime, 3)
    await until(lambda: published(runtime, 3))
    relay.stop()
    await asyncio.wait_for(running, 120)


async def test_what_is_measured_for_readers_waits_for_the_first_one() -> None:
    attention = Attention()
    waiting = asyncio.create_task(attention.pause(0.0, unread=None))
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.to_thread(attention.note)
    await asyncio.wait_for(waiting, 120)
    await asyncio.wait_for(attention.pause(0.0, unread=None), 120)
    woken = asyncio.Event()
    woken.set()
    await asyncio.wait_for(attention.pause(3600.0, woken=woken), 120)


async def test_whoever_reads_the_figures_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    attention = Attention()
    monkeypatch.setattr(exporting, "ATTENTION", attention)
    assert not attention.is_paid
    exporting.as_text()
    assert attention.is_paid


async def test_a_server_does_not_wake_up_to_look_whether_it_should_end() -> None:
    looks = 0

    class Counting(Waiting):
        async def on_tick(self, counter: int) -> bool:
            nonlocal looks
            looks += 1
            return await super().on_tick(counter)

    server = Counting(uvicorn.Config("nowhere:app"))
    waiting = asyncio.create_task(server.main_loop())
    await asyncio.sleep(1)
    await asyncio.to_thread(setattr, server, "should_exit", True)
    await asyncio.wait_for(waiting, 120)
    assert looks == 1


def listening(notifier: Notifier) -> Callable[[], Awaitable[bool]]:
    async def is_listening() -> bool:
        return notifier.is_listening

    return is_listening


async def equal(found: list[str], expected: list[str]) -> bool:
    return found == expected


async def published(runtime: Runtime, expected: int) -> bool:
    return await rows(runtime, "select count(*) from outbox where state = 'published'") == [(expected,)]
