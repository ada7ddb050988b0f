"""One service's database: its pool, its transactions, and the way past SQLAlchemy for hot statements."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import asyncpg
import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine  # noqa: TID251  # the one place

from crm_kit.network.postgres import Target
from crm_kit.store import sessions
from crm_kit.store.outages import DRIVER_LOST
from crm_kit.store.pool import Pool
from crm_kit.store.shares import Shares

STATEMENTS = 500
"""Prepared statements that a connection keeps."""


class Database:
    """One service's database: a fixed pool (no overflow), reads in autocommit, writes in one transaction.

    ``lock_timeout`` bounds every wait for a row or a key, so that a stuck peer costs a caller 2 s and not a worker.
    ``by_index``: never read a whole table where an index can answer, however small the table looks.
    ``shares``: at most half of the pool is in the hands of one caller, so that nobody's slow work takes it from the others.
    ``slow``: of work that is known to be slow each caller does one piece at a time, and all of them together leave half of
    the pool to the rest.
    ``is_pooled``: a pooler in transaction mode stands between, so no statement finds the session of the one before.
    ``minds_pooler``: such a pooler that nothing told of is an error.
    ``neighbour``: another pool of this process on the same database, whose idle connection a glance may use.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        application_name: str,
        statement_seconds: float = 0,
        by_index: bool = False,
        is_pooled: bool = False,
        minds_pooler: bool = False,
    ) -> None:
        self.dsn = url
        self._target = Target.of(url)
        self._application_name = application_name
        self._is_pooled, self._minds_pooler = is_pooled, minds_pooler
        self._settings = sessions.settings(statement_seconds=statement_seconds, by_index=by_index)
        statements = 0 if is_pooled else STATEMENTS
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            poolclass=Pool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=2,
            # The connection used last has its statements prepared and its caches warm.
            pool_use_lifo=True,
            pool_recycle=1800,
            # An error's text may reach a log, and what was being written may be personal.
            hide_parameters=True,
            json_serializer=lambda value: orjson.dumps(value, default=str).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "async_creator_fn": self._connect,
                "prepared_statement_cache_size": statements,
                # Nameless where the next statement may meet another process of the server.
                "prepared_statement_name_func": (lambda: "") if is_pooled else None,
            },
        )
        self.neighbour: Database | None = None
        self._size = pool_size
        half = max(1, pool_size // 2)
        self.shares = Shares(half, name="connections")
        self.slow = Shares(1, half, name="slow reads")
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def pool(self) -> Pool:
        """Its connections."""
        return cast(Pool, self.engine.pool)

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await self._target.connect(
            self._application_name, statement_cache_size=0 if self._is_pooled else STATEMENTS
        )
        try:
            if self._is_pooled:
                await sessions.look(connection, self._settings, self._target)
            elif not await sessions.tell(connection, self._settings) and self._minds_pooler:
                raise sessions.unspoken(self._target)
        except BaseException:
            connection.terminate()
            raise
        return connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A connection inside one transaction: committed when the block ends, rolled back when it raises."""
        async with self.engine.begin() as conn:
            yield conn

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement stands alone."""
        async with self._autocommit.connect() as conn:
            yield conn

    def glance(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for a quick look whether there is any work, on which every statement stands alone.

        Looks are what an idle process does. They use an idle connection of the neighbour, if it has one, so that this pool has
        none while it has no work. Nothing waits for the neighbour.
        """
        lender = self.neighbour
        return lender.autocommit() if lender is not None and lender.pool.checkedin() else self.autocommit()

    def connect(self, *, autocommit: bool) -> AsyncConnection:
        """A connection the caller starts and closes: for the unit of work, which decides late."""
        return (self._autocommit if autocommit else self.engine).connect()

    @property
    def scarce(self) -> bool:
        """Whether the next caller may find no connection, or only the last one."""
        out: int = self.engine.pool.checkedout()  # type: ignore[attr-defined]  # the pool has it, its base not
        return out >= self._size - 1

    async def dispose(self) -> None:
        """Close the pool."""
        await self.engine.dispose()


async def fetch(conn: AsyncConnection, sql: str, parameters: Sequence[Any] = ()) -> list[asyncpg.Record]:
    """Run one statement on the driver itself: for the few hot ones, where a result object's making is a third of the cost.

    Inside a transaction it must not be the first statement: SQLAlchemy begins when it sends one. Errors are SQLAlchemy's;
    a connection that broke or was cancelled is not given back to the pool.
    """
    raw = conn.sync_connection.connection.dbapi_connection.driver_connection  # type: ignore[union-attr]  # it is open
    try:
        rows: list[asyncpg.Record] = await raw.fetch(sql, *parameters)
    except (asyncpg.PostgresError, *DRIVER_LOST, OSError) as error:
        broken = raw.is_closed() or not isinstance(error, asyncpg.PostgresError)
        if broken:
            await conn.invalidate()
        raise DBAPIError(sql, None, error, hide_parameters=True, connection_invalidated=broken) from error
    except asyncio.CancelledError:
        await asyncio.shield(conn.invalidate())
        raise
    return rows
