"""The settings of every database connection, and how they are applied.

Start-up parameters are not used, because poolers refuse them. Our own connections are configured once, after connecting. Behind a
pooler in transaction mode there is no session: setup sets the same settings for the role in its database.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
import structlog

from crm_kit.network.postgres import Target

log = structlog.get_logger(__name__)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Pooled(Exception):
    """DATABASE_URL leads through a pooler that is not configured as one."""


def settings(*, statement_seconds: float, by_index: bool) -> dict[str, str]:
    """By name, as PostgreSQL shows them."""
    return {
        "TimeZone": "UTC",
        "jit": "off",
        # A plan is kept until the statistics change. A plan made while a table was nearly empty, when a scan is
        # cheapest, would still scan the grown table, and every query has its index.
        "enable_seqscan": "off" if by_index else "on",
        "lock_timeout": "2s",
        "statement_timeout": milliseconds(statement_seconds),
        "idle_in_transaction_session_timeout": "15s",
    }


def milliseconds(seconds: float) -> str:
    """A duration as PostgreSQL shows it."""
    number = int(seconds * 1000)
    return "0" if number == 0 else f"{number // 1000}s" if number % 1000 == 0 else f"{number}ms"


async def tell(connection: Connection, wanted: Mapping[str, str]) -> bool:
    """Apply the settings for the life of a connection; returns whether the answering server process is the connected one."""
    pairs = [text for pair in wanted.items() for text in pair]
    calls = ", ".join(f"set_config(${number}, ${number + 1}, false)" for number in range(1, len(pairs), 2))
    row: Any = await connection.fetchrow(f"select pg_backend_pid(), {calls}", *pairs)
    return bool(row[0] == connection.get_server_pid())


def unspoken(target: Target) -> Pooled:
    """The message for a pooler that is not configured."""
    return Pooled(
        f"DATABASE_URL ({target}) leads through a connection pooler: set DATABASE_DIRECT_URL to the server itself,"
        " or to a pool in session mode, for what needs a session of its own"
    )


_SHOWN = "select name, current_setting(name) from unnest($1::text[]) as wanted (name)"
_warned: set[str] = set()


async def look(connection: Connection, wanted: Mapping[str, str], target: Target) -> None:
    """Log once which settings of their role a pooler's connections lack."""
    if str(target) in _warned:
        return
    rows = await connection.fetch(_SHOWN, list(wanted))
    others = [f"{row[0]} is {row[1]}, not {wanted[row[0]]}" for row in rows if row[1] != wanted[row[0]]]
    _warned.add(str(target))
    if others:
        log.warning(
            "database.settings",
            database=str(target),
            found=others,
            remedy="run the service's setup, then have the pooler reconnect (PgBouncer: RECONNECT)",
        )


async def give_to_role(connection: Connection, role: str, wanted: Mapping[str, str]) -> None:
    """Set the settings for a role in this database. The role itself may do it, or a role that may create roles."""
    for name, value in wanted.items():
        await connection.execute(
            await connection.fetchval(
                "select format('alter role %I in database %I set %I = %L', $1::text, current_database(), $2::text, $3::text)",
                role,
                name,
                value,
            )
        )
