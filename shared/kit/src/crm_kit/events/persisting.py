"""Work that is repeated while the database is unavailable or busy."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from crm_kit.backoff import pause_after
from crm_kit.process.runtime import Runtime
from crm_kit.store.outages import database_away, database_busy

log = structlog.get_logger(__name__)
T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
DOUBTS = 5
"""Outages during one piece of work, while the database answered others, after which the work itself is considered the cause."""


async def persist(runtime: Runtime, work: Callable[[], Awaitable[T]]) -> T:
    """Run the work, and repeat it while the database is unavailable or busy. Raises any other error of the work.

    It also raises the error of the database after ``DOUBTS`` outages during which the database answered other queries,
    because the work itself may end the connection.
    """
    failures = doubts = 0
    while True:
        try:
            return await work()
        except Exception as error:
            if not (database_away(error) or database_busy(error)):
                raise
            log.warning("intake.holding", error=type(error).__name__)
            await asyncio.sleep(backoff(failures))
            failures += 1
            doubts += await _answers(runtime)
            if doubts >= DOUBTS:
                raise


async def _answers(runtime: Runtime) -> bool:
    try:
        async with runtime.db.autocommit() as conn:
            await conn.exec_driver_sql("select 1")
    except Exception:  # noqa: BLE001  # any error means that the database did not answer
        return False
    return True


def backoff(failures: int) -> float:
    """Return the seconds to wait after this number of failures."""
    return pause_after(failures, FIRST_PAUSE, LONGEST_PAUSE)
