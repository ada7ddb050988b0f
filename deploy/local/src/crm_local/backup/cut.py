"""A consistent snapshot of all databases while the suite runs.

A producer writes an event to its outbox before any other service can receive it. While all outboxes are locked, no
events are written, and all received events are in an outbox. Snapshots taken under the locks therefore never contain an
effect without its event. The locks are held for milliseconds. The snapshots stay for the duration of the dumps.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from random import uniform

import asyncpg

from crm_kit import clock
from crm_kit.clock import monotonic
from crm_kit.network.postgres import Target
from crm_kit.together import together

LOCK_SECONDS = 0.5
"""Maximum seconds for which writers wait in each attempt. This is well below their own limit of 2 s."""
LOOK_SECONDS = 0.1
"""Transactions that write for longer than this are waited for before the locks are tried. Other writers continue
meanwhile."""
PATIENCE_SECONDS = 120.0


class NoCut(Exception):
    """There was no moment for a cut. The text says what prevents it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The snapshot of each database, by service. They are valid until the cut is closed."""

    at: datetime
    snapshots: Mapping[str, str]
    conns: Mapping[str, asyncpg.Connection]
    """Connections that see the databases as of the cut."""
    locked_seconds: float


@asynccontextmanager
async def cut(urls: Mapping[str, str]) -> AsyncIterator[Cut]:
    """Take a cut. Raises NoCut, OSError and asyncpg.PostgresError."""
    async with AsyncExitStack() as stack:
        lockers = {service: await _connect(stack, url) for service, url in urls.items()}
        readers = {service: await _connect(stack, url) for service, url in urls.items()}
        deadline = monotonic() + PATIENCE_SECONDS
        began = None
        while (writing := await _long_writers(lockers)) or (began := await _lock(lockers)) is None:
            if monotonic() > deadline:
                raise NoCut(
                    f"found no moment without writers in {PATIENCE_SECONDS:.0f} s"
                    f" ({', '.join(writing) or 'many short transactions'}; an import?): try again later"
                )
            if not writing:
                await asyncio.sleep(uniform(0.2, 0.6))
        snapshots = await together(_export(conn) for conn in readers.values())
        at = clock.now()
        await together(conn.close() for conn in lockers.values())
        yield Cut(at, dict(zip(readers, snapshots, strict=True)), readers, monotonic() - began)


async def _connect(stack: AsyncExitStack, url: str) -> asyncpg.Connection:
    conn = await Target.of(url).connect("crm backup")
    stack.push_async_callback(conn.close)
    # This session must outlive any time limits of the role.
    await conn.execute("set idle_in_transaction_session_timeout = 0; set statement_timeout = 0")
    return conn


_WRITERS = """
select virtualtransaction from pg_locks
where locktype = 'relation' and relation = 'outbox'::regclass and mode = 'RowExclusiveLock' and granted
  and database = (select oid from pg_database where datname = current_database())
"""


async def _long_writers(conns: Mapping[str, asyncpg.Connection]) -> list[str]:
    """Return the services with a long transaction that has written events."""
    before = await together(_writers(conn) for conn in conns.values())
    await asyncio.sleep(LOOK_SECONDS)
    after = await together(_writers(conn) for conn in conns.values())
    return [service for service, one, two in zip(conns, before, after, strict=True) if one & two]


async def _writers(conn: asyncpg.Connection) -> set[str]:
    return {row[0] for row in await conn.fetch(_WRITERS)}


async def _lock(conns: Mapping[str, asyncpg.Connection]) -> float | None:
    """Lock all outboxes or none. Return when locking began; None if a writer prevented it."""
    began = monotonic()
    try:
        async with asyncio.timeout(LOCK_SECONDS):
            await together(_lock_one(conn) for conn in conns.values())
    except (TimeoutError, asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        await together(conn.execute("rollback") for conn in conns.values())
        return None
    return began


async def _lock_one(conn: asyncpg.Connection) -> None:
    # The server ends the lock itself if this process is stopped between two statements.
    await conn.execute(f"begin; set local lock_timeout = {LOCK_SECONDS * 1000:.0f}")
    await conn.execute("set local idle_in_transaction_session_timeout = '5s'")
    await conn.execute("lock table only outbox in share mode")


async def _export(conn: asyncpg.Connection) -> str:
    await conn.execute("begin isolation level repeatable read read only")
    return str(await conn.fetchval("select pg_export_snapshot()"))
