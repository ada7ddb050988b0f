"""Which errors say that the database is away or busy, rather than that something is wrong with the work."""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

DRIVER_LOST = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver says of a connection that is no more; the second, while the server's farewell is there but not its end."""
_AWAY = ("08", "53", "57P", "25P03", "58")
"""Connection lost, out of resources, shutting down or starting up, idle-in-transaction timeout, server I/O."""
_BUSY = ("40001", "40P01", "55P03")
"""Serialisation failure, deadlock, lock not available: the same work may succeed when tried again."""


def _chain(error: BaseException) -> "list[BaseException]":
    found: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        item = pending.pop()
        if item is None or item in found:
            continue
        found.append(item)
        pending.append(item.__cause__)
        if isinstance(item, DBAPIError):
            pending.append(item.orig)
    return found


def _sqlstate(error: BaseException) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def database_away(error: BaseException) -> bool:
    """Whether the database could not be reached or the connection to it was lost."""
    for cause in _chain(error):
        if isinstance(cause, (PoolTimeout, *DRIVER_LOST)) or _sqlstate(cause).startswith(_AWAY):
            return True
        if isinstance(cause, DBAPIError) and cause.connection_invalidated:
            return True
    return False


def database_busy(error: BaseException) -> bool:
    """Whether the transaction lost against another one and may simply be tried again."""
    return any(_sqlstate(cause) in _BUSY for cause in _chain(error))


def ran_out_of_time(error: BaseException) -> bool:
    """Whether the database gave up a statement that took longer than it may."""
    return any(_sqlstate(cause) == "57014" for cause in _chain(error))
