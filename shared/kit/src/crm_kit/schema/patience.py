"""Statements of a migration that wait for no lock for long: whoever waits behind them goes first, and they try again."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.store.outages import database_busy

LOCK_MS: Final = 500
"""Longest that others wait behind one attempt. Less than deadlock_timeout: nobody else's work is given up for this."""
PAUSE_SECONDS: Final = 0.5
TURN_SECONDS: Final = 0.1
PATIENCE_SECONDS: Final = 180.0
"""How long attempts go on before the last error is raised: whoever is in the way, such as a dump, has to end by then."""


async def patiently(conn: AsyncConnection, *statements: str, parameters: Sequence[Any] = ()) -> Any:
    """Run statements in one transaction, on a connection in autocommit; returns the first value that the last one gives.

    Raises what the last attempt raised, after ``PATIENCE_SECONDS``.
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
    """Ask for an advisory lock until it is given.

    Whoever waits inside the server holds a snapshot, for which the holder may be waiting itself: ``create index concurrently``
    waits for all snapshots that are older than it.
    """
    while not (await conn.exec_driver_sql(question)).scalar_one():  # noqa: ASYNC110  # what is awaited happens in the database
        await asyncio.sleep(TURN_SECONDS)
