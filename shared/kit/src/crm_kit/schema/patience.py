"""Runs statements of a migration with short waits for locks. After a timeout, others go first, and the statements run again."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.store.outages import database_busy

LOCK_MS: Final = 500
"""The longest time that others wait for one attempt. It is less than deadlock_timeout, so no other transaction is aborted."""
PAUSE_SECONDS: Final = 0.5
TURN_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 180.0
"""How long attempts are repeated before the last error is raised. A blocking session, such as a dump, must end in this time."""


async def patiently(conn: AsyncConnection, *statements: str, parameters: Sequence[Any] = ()) -> Any:
    """Run statements in one transaction, on a connection in autocommit. Returns the first value of the last statement.

    While the database is busy it repeats them. Raises the last error after ``PATIENCE_SECONDS``, and any other error at once.
    """
    ends = clock.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            await conn.exec_driver_sql("begin")
            await conn.exec_driver_sql(f"set local lock_timeout = {LOCK_MS}")
            for statement in statements:
                result = await conn.exec_driver_sql(statement, tuple(parameters))
            found = result.scalar() if result.returns_rows else None
            await conn.exec_driver_sql("commit")
        except DBAPIError as error:
            await conn.exec_driver_sql("rollback")
            if not database_busy(error) or clock.monotonic() >= ends:
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return found


async def take_turn(conn: AsyncConnection, question: str) -> None:
    """Request an advisory lock until it is granted. ``question`` is the statement that tries to take it.

    A process that waits inside the server holds a snapshot, and the holder of the lock may wait for that snapshot: ``create
    index concurrently`` waits for all older snapshots. This function therefore polls.
    """
    while not (await conn.exec_driver_sql(question)).scalar_one():  # noqa: ASYNC110  # what is awaited happens in the database
        await asyncio.sleep(TURN_SECONDS)
