"""A database that says farewell, and whose connection has not ended yet: what is asked then is an outage like any other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from crm_kit.process.runtime import Runtime
from crm_kit.store import notify
from crm_kit.store.database import Database, fetch
from crm_kit.store.notify import Notifier
from crm_kit.store.outages import database_away

from .conftest import rows, until

END = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1"


@asynccontextmanager
async def without_an_end(
    database_url: str, silent: asyncio.Event | None = None
) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The database behind a way that passes on all that is said, but not that the server has hung up; the event tells that.

    After ``silent`` is set, nothing of a connection that exists is passed on any more.
    """
    target, ended = urlsplit(database_url), asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        was_silent = silent is not None and silent.is_set()
        with suppress(ConnectionError):
            while some := await reader.read(65536):
                if silent is not None and silent.is_set() and not was_silent:
                    continue
                writer.write(some)
                await writer.drain()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await passed_on(reader, writer)
        ended.set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(target.hostname, target.port)
        tasks.add(asyncio.create_task(passed_on(reader, to_server)))
        tasks.add(asyncio.create_task(answered(from_server, writer)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    place = f"{target.username}:{target.password}@127.0.0.1:{port}"
    try:
        yield urlunsplit(target._replace(netloc=place)), ended
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_notifier_goes_on_after_a_farewell(runtime: Runtime, database_url: str) -> None:
    heard: list[str] = []
    listener = Notifier(database_url, "listener")
    listener.listen("news", heard.append)
    await listener.start()
    async with without_an_end(database_url) as (way, _):
        speaker = Notifier(way, "speaker")
        await speaker.start()

        async def said(news: str) -> bool:
            speaker.notify("news", news)
            return news in heard

        await until(lambda: said("before"))
        assert await rows(runtime, END, "speaker") == [(True,)]
        await until(lambda: said("after"))
        await speaker.stop()
    await listener.stop()


async def test_a_notifier_finds_out_that_nothing_reaches_it_any_more(
    runtime: Runtime, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a router forgets a connection: no end is told."""
    monkeypatch.setattr(notify, "QUIET_SECONDS", 0.05)
    heard: list[str] = []
    silent = asyncio.Event()
    async with without_an_end(database_url, silent) as (way, _):
        listener = Notifier(way, "listener")
        listener.listen("news", heard.append)
        await listener.start()

        async def hears() -> bool:
            runtime.notifier.notify("news", "now")
            return "now" in heard

        await until(hears)
        silent.set()
        # What was on its way when it fell silent may still arrive.
        await until(lambda: _lost(listener))
        heard.clear()
        await until(hears)
        await listener.stop()


async def _lost(notifier: Notifier) -> bool:
    return not notifier.is_listening


async def test_a_statement_after_a_farewell_finds_the_database_away(runtime: Runtime, database_url: str) -> None:
    async with without_an_end(database_url) as (way, ended):
        database = Database(way, pool_size=1, application_name="guest")
        async with database.autocommit() as conn:
            await fetch(conn, "select 1")
            assert await rows(runtime, END, "guest") == [(True,)]
            await ended.wait()
            # What was passed on is in the socket: a turn of the loop reads it.
            for _ in range(3):
                await asyncio.sleep(0)
            with pytest.raises(DBAPIError, match="cannot switch to state") as refused:
                await fetch(conn, "select 2")
            assert database_away(refused.value)


def test_what_the_driver_says_then_is_an_outage() -> None:
    assert database_away(asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"))
    assert not database_away(ValueError())
