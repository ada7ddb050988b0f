"""Which errors say that the database is away or busy, rather than that something is wrong with the work.

What is away or busy is waited for, so a message that could cause such an error would hold up all that come after it. Hence
the narrow lists: an error that is not known to be an outage is the work's own.
"""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

DRIVER_LOST = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What the driver says of a connection that is no more; the second, while the server's farewell is there but not its end."""
_AWAY = ("08", "53", "57P", "25P03", "25006", "28", "3D000", "58")
"""Connection lost, out of resources, shutting down or starting up, idle-in-transaction timeout, a standby, no log-in, no
such database (yet), server I/O."""
_GONE = ("clos", "released", "another operation")
"""How the driver words what is wrong with a connection; its other complaints are about what it was asked."""
_BUSY = ("40001", "40P01", "55P03")
"""Serialisation failure, deadlock, lock not available: the same work may succeed when tried again."""
_UNFIT = ("22", "54")
"""A value that a column cannot hold, or that is past a limit of the server."""


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
    return any(_is_away(cause) for cause in _chain(error))


def _is_away(cause: BaseException) -> bool:
    if isinstance(cause, (PoolTimeout, asyncpg.InternalClientError, OSError)) or _sqlstate(cause).startswith(_AWAY):
        return True
    if isinstance(cause, asyncpg.InterfaceError):
        return any(word in str(cause) for word in _GONE)
    return isinstance(cause, DBAPIError) and cause.connection_invalidated


def database_busy(error: BaseException) -> bool:
    """Whether the transaction lost against another one and may simply be tried again."""
    return any(
        _sqlstate(cause) in _BUSY or isinstance(cause, asyncpg.InvalidCachedStatementError) for cause in _chain(error)
    )


def ran_out_of_time(error: BaseException) -> bool:
    """Whether the database gave up a statement that took longer than it may."""
    return any(_sqlstate(cause) == "57014" for cause in _chain(error))


def unfit(error: BaseException) -> bool:
    """Whether a value was refused that will never be taken, however often it is tried."""
    return any(
        isinstance(cause, (OverflowError, UnicodeError)) or _sqlstate(cause).startswith(_UNFIT)
        for cause in _chain(error)
    )
