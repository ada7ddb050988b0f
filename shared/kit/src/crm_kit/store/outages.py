"""Distinguishes errors of an unavailable or busy database from errors of the work.

Consumers wait during an outage, so a message that could cause such an error would block all later messages. The lists are
therefore narrow: an error that is not known to be an outage belongs to the work.
"""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

DRIVER_LOST = (asyncpg.InterfaceError, asyncpg.InternalClientError)
"""The driver's messages for a lost connection; the second occurs while the server closes it."""
_AWAY = ("08", "53", "57P", "25P03", "25006", "28", "3D000", "58")
"""Connection lost, out of resources, shutting down or starting up, idle-in-transaction timeout, a standby, no log-in, no
such database (yet), server I/O."""
_GONE = ("clos", "released", "another operation")
"""How the driver describes errors of a connection; its other errors are about the statement."""
_BUSY = ("40001", "40P01", "55P03")
"""Serialisation failure, deadlock, lock not available: the same work may succeed when tried again."""
_UNFIT = ("22", "54")
"""A value that a column cannot store, or that exceeds a limit of the server."""


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
    """Whether the transaction conflicted with another one and can be retried."""
    return any(
        _sqlstate(cause) in _BUSY or isinstance(cause, asyncpg.InvalidCachedStatementError) for cause in _chain(error)
    )


def ran_out_of_time(error: BaseException) -> bool:
    """Whether the database canceled a statement because of a time limit."""
    return any(_sqlstate(cause) == "57014" for cause in _chain(error))


def unfit(error: BaseException) -> bool:
    """Whether the database refused a value that it will refuse on every retry."""
    return any(
        isinstance(cause, (OverflowError, UnicodeError)) or _sqlstate(cause).startswith(_UNFIT)
        for cause in _chain(error)
    )
