"""What every connection to the database works under, and how it comes to it.

Not by start-up parameters, which poolers refuse. A connection of our own is told once, after it was made. Behind a pooler in
transaction mode there is no session to tell: there the same settings are the role's in its database, which setup sets.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
import structlog

from crm_kit.network.postgres import Target

log = structlog.get_logger(__name__)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Pooled(Exception):
    """DATABASE_URL leads through a pooler, and nothing says so."""


def settings(*, statement_seconds: float, by_index: bool) -> dict[str, str]:
    """By name, as PostgreSQL shows them."""
    return {
        "TimeZone": "UTC",
        "jit": "off",
        # A plan is kept for as long as statistics are: one made while a table was nearly empty, when reading it all is
        # cheapest, would go on doing so while it grows, and everything that is asked has its index.
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
    """Set the settings for the life of a connection; whether the process that answers is the one that was connected to."""
    pairs = [text for pair in wanted.items() for text in pair]
    calls = ", ".join(f"set_config(${number}, ${number + 1}, false)" for number in range(1, len(pairs), 2))
    row: Any = await connection.fetchrow(f"select pg_backend_pid(), {calls}", *pairs)
    return bool(row[0] == connection.get_server_pid())


def unspoken(target: Target) -> Pooled:
    """What to say of a pooler that no setting tells of."""
    return Pooled(
        f"DATABASE_URL ({target}) leads through a connection pooler: set DATABASE_DIRECT_URL to the server itself,"
        " or to a pool in session mode, for what needs a session of its own"
    )


_SHOWN = "select name, current_setting(name) from unnest($1::text[]) as wanted (name)"
_warned: set[str] = set()


async def look(connection: Connection, wanted: Mapping[str, str], target: Target) -> None:
    """Say once what a pooler's connections lack of the settings of their role."""
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
    """Make the settings those of a role in this database: what it may do for itself, or a role that may make roles."""
    for name, value in wanted.items():
        await connection.execute(
            await connection.fetchval(
                "select format('alter role %I in database %I set %I = %L', $1::text, current_database(), $2::text, $3::text)",
                role,
                name,
                value,
            )
        )
