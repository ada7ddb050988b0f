"""Lock-out: after so many failed log-ins under one name from one address, nobody logs in so for a while.

Ten times as many from all addresses together lock the name everywhere, but where its owner logged in before.

Counted by the log-in name as it was typed, whether or not there is such an account: so a lock tells nothing about who
works here, and every answer takes as long. The rows are in the database, so all replicas count together.
"""

import math
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_identity.settings import IdentitySettings
from crm_kit.errors import DomainError
from crm_kit.signals.metrics import counter
from crm_kit.store.chores import delete_some

LOCKED = counter("crm.identity.lockouts", "Log-in names that were locked after too many failures.")

# A failure within the window adds up; one after it, or after a lock has ended, is the first of a new window.
COUNT = """
insert into failed_login as f (key, failures, first_at, last_at, locked_until)
values ($1, 1, $2, $2, case when $4 <= 1 then $5::timestamptz end)
on conflict (key) do update set
    failures = case when f.first_at < $3 or f.last_at > $6 or f.locked_until is not null then 1 else f.failures + 1 end,
    first_at = case when f.first_at < $3 or f.last_at > $6 or f.locked_until is not null then $2 else f.first_at end,
    last_at = $2,
    locked_until = case
        when case when f.first_at < $3 or f.last_at > $6 or f.locked_until is not null then 1 else f.failures + 1 end >= $4
        then $5::timestamptz end
where f.locked_until is null or f.locked_until <= $2 or f.last_at > $6
returning locked_until
"""

STEP = timedelta(minutes=1)
"""A failure that lies so far ahead is of a clock that has gone back since: what it locked, nobody could tell for how long."""

ANYWHERE = 10
"""So many times the failures and tries of one address are allowed to all addresses together."""

KNOWN_DAYS = 90

KNOW = (
    "insert into known_address (key, seen_at) values ($1, $2)"
    " on conflict (key) do update set seen_at = excluded.seen_at"
    " where known_address.seen_at < excluded.seen_at - interval '1 day'"
)

log = structlog.get_logger(__name__)


class Locked(DomainError):
    """429: too many failed log-ins, with the seconds until the next may be tried."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            "account-locked",
            "Too many failed log-ins under this name; try again later, or ask an administrator for a new password.",
            members={
                "retry_after": seconds,
                "error": "invalid_grant",
                "error_description": f"Too many failed log-ins under this name; try again in {seconds} s.",
            },
        )


async def refuse_locked(conn: AsyncConnection, key: str, now: datetime) -> None:
    """429 ``account-locked`` while the name is locked, whatever the password."""
    found = await conn.exec_driver_sql(
        "select locked_until from failed_login where key = $1 and last_at <= $2", (key, now + STEP)
    )
    until: Any = found.scalar_one_or_none()
    if until is not None and until > now:
        raise Locked(max(1, math.ceil((until - now).total_seconds())))


async def count_failure(
    conn: AsyncConnection, key: str, settings: IdentitySettings, now: datetime, *, times: int = 1
) -> None:
    """Remember a failed log-in; the last one allowed locks the name. Failures while it is locked do not prolong that.

    ``times`` as many are allowed under a key that several addresses share.
    """
    window = now - timedelta(minutes=settings.lockout_window_minutes)
    until = now + timedelta(minutes=settings.lockout_minutes)
    limit = settings.lockout_failures * times
    counted = await conn.exec_driver_sql(COUNT, (key, now, window, limit, until, now + STEP))
    if counted.scalar_one_or_none() is not None:
        LOCKED.inc()
        log.warning("log-in name locked", failures=limit, minutes=settings.lockout_minutes)


async def forget_failures(conn: AsyncConnection, key: str) -> None:
    """A log-in succeeded: what failed under this key before is forgotten."""
    await conn.exec_driver_sql("delete from failed_login where key = $1", (key,))


async def unlock(conn: AsyncConnection, account: str) -> None:
    """Somebody has vouched for the user: the name is open again, at every address."""
    await conn.exec_driver_sql("delete from failed_login where starts_with(key, $1)", (account,))


async def is_known(conn: AsyncConnection, key: str) -> bool:
    """Whether somebody has logged in under this name at this address within 90 days."""
    found = await conn.exec_driver_sql("select exists (select from known_address where key = $1)", (key,))
    return bool(found.scalar_one())


async def know(conn: AsyncConnection, key: str, now: datetime) -> None:
    """Remember that the owner of a name logged in at an address."""
    await conn.exec_driver_sql(KNOW, (key, now))


async def forget_known(conn: AsyncConnection, now: datetime) -> int:
    """Drop some of the addresses where nobody has logged in for long; returns how many."""
    return await delete_some(conn, "known_address", "seen_at < $1", now - timedelta(days=KNOWN_DAYS))


async def forget_old_failures(conn: AsyncConnection, settings: IdentitySettings, now: datetime) -> int:
    """Drop some of what neither locks nor adds up any more; returns how many rows."""
    over = "last_at < $1 and (locked_until is null or locked_until < $2)"
    return await delete_some(conn, "failed_login", over, now - timedelta(minutes=settings.lockout_window_minutes), now)
