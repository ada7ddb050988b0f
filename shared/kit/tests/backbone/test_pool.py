"""Which connections a process keeps while it has no work."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import access_runtime, build_runtime, working_runtime
from crm_kit.store.database import Database

from .conftest import until
from .miniature import SERVICE

OPEN = "select count(*) from pg_stat_activity where application_name = $1"
SOON, NEVER = 0.3, 3600.0


@pytest.fixture
async def operator(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=3, application_name="pool")
    yield database
    await database.dispose()


def opened(operator: asyncpg.Connection, name: str, number: int) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return bool(await operator.fetchval(OPEN, name) == number)

    return is_so


async def use(db: Database, number: int) -> list[int]:
    """Use this many connections at the same time. Return their processes."""
    async with AsyncExitStack() as stack:
        conns = [await stack.enter_async_context(db.autocommit()) for _ in range(number)]
        return [(await conn.exec_driver_sql("select pg_backend_pid()")).scalar_one() for conn in conns]


async def test_connections_that_nothing_uses_are_closed(db: Database, operator: asyncpg.Connection) -> None:
    db.pool.idle_seconds = SOON
    await use(db, 3)
    assert await operator.fetchval(OPEN, "pool") == 3
    await until(opened(operator, "pool", 0))
    assert (db.pool.checkedin(), db.pool.checkedout()) == (0, 0)
    await use(db, 3)
    await until(opened(operator, "pool", 0))


async def test_a_connection_that_is_used_again_stays(db: Database, operator: asyncpg.Connection) -> None:
    db.pool.idle_seconds = SOON
    before = await use(db, 3)
    used: set[int] = set()
    while await operator.fetchval(OPEN, "pool") > 1:
        used.update(await use(db, 1))
    assert len(used) == 1
    assert used < set(before)


async def test_whoever_comes_while_old_connections_are_closed_gets_a_new_one(db: Database) -> None:
    db.pool.idle_seconds = NEVER
    before = await use(db, 3)
    db.pool.idle_seconds = 0.0
    db.pool._close_idle()
    # Their sessions have not ended yet, and do not count.
    assert not set(await use(db, 3)) & set(before)


async def test_a_connection_in_use_is_not_closed(db: Database) -> None:
    db.pool.idle_seconds = 0.0
    async with db.begin() as conn:
        db.pool._close_idle()
        assert (await conn.exec_driver_sql("select 1")).scalar_one() == 1


async def test_a_process_that_only_looks_has_one_connection_besides_that_for_notifications(
    database_url: str, operator: asyncpg.Connection
) -> None:
    """The api reads the directory, and both queues look for stored events: all on the connection of the worker's other loops."""
    told: dict[str, Any] = {
        "CRM_SERVICE": "mini",
        "CRM_SECRET": "s" * 32,
        "DATABASE_URL": database_url,
        "CRM_ROLE": "all",
    }
    api = build_runtime(SERVICE, Settings(**told))
    work = working_runtime(api)
    access = access_runtime(work)
    pools = {"mini-all": api.db, "mini-all-work": work.db, "mini-all-access": access.db}
    try:
        for db in pools.values():
            db.pool.idle_seconds = SOON
            await use(db, 1)
        while any([await operator.fetchval(OPEN, name) for name in ("mini-all", "mini-all-access")]):
            for db in (work.db, api.db, access.db):
                async with db.glance() as conn:
                    await conn.exec_driver_sql("select 1")
        assert await operator.fetchval(OPEN, "mini-all-work") == 1
        # A neighbour whose connections are all in use keeps nobody waiting.
        async with work.db.begin(), work.db.begin(), access.db.glance() as conn:
            name = (await conn.exec_driver_sql("select current_setting('application_name')")).scalar_one()
        assert name == "mini-all-access"
    finally:
        for db in pools.values():
            await db.dispose()
