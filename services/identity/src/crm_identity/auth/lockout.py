"""Lock-out after failed log-ins under one name from one address.

A limit ten times as high applies to all addresses together. It locks the name everywhere, except at addresses where its
owner has logged in before.

Failures are counted by the log-in name as entered, whether or not the account exists. A lock therefore does not reveal
who has an account, and every answer takes equally long. The rows are in the database, so that all replicas count
together.
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

# Failures within the window add up. A failure after the window or after a lock has ended starts a new window.
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
"""A failure that is further in the future was stored before the clock was set back. It is ignored, because nobody could
tell when its lock would end."""

ANYWHERE = 10
"""Factor by which the limits of one address are multiplied for all addresses together."""

KNOWN_DAYS = 90

KNOW = (
    "insert into known_address (key, seen_at) values ($1, $2)"
    " on conflict (key) do update set seen_at = excluded.seen_at"
    " where known_address.seen_at < excluded.seen_at - interval '1 day'"
)

log = structlog.get_logger(__name__)


class Locked(DomainError):
    """429: too many failed log-ins, with the seconds until the next attempt is possible."""

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
    """Raise 429 ``account-locked`` while the name is locked, whatever the password."""
    found = await conn.exec_driver_sql(
        "select locked_until from failed_login where key = $1 and last_at <= $2", (key, now + STEP)
    )
    until: Any = found.scalar_one_or_none()
    if until is not None and until > now:
        raise Locked(max(1, math.ceil((until - now).total_seconds())))


async def count_failure(
    conn: AsyncConnection, key: str, settings: IdentitySettings, now: datetime, *, times: int = 1
) -> None:
    """Count a failed log-in. The last allowed failure locks the name. Failures during a lock do not extend it.

    ``times`` multiplies the limit for a key that several addresses share.
    """
    window = now - timedelta(minutes=settings.lockout_window_minutes)
    until = now + timedelta(minutes=settings.lockout_minutes)
    limit = settings.lockout_failures * times
    counted = await conn.exec_driver_sql(COUNT, (key, now, window, limit, until, now + STEP))
    if counted.scalar_one_or_none() is not None:
        LOCKED.inc()
        log.warning("log-in name locked", failures=limit, minutes=settings.lockout_minutes)


async def forget_failures(conn: AsyncConnection, key: str) -> None:
    """Forget the failures under this key after a successful log-in."""
    await conn.exec_driver_sql("delete from failed_login where key = $1", (key,))


async def unlock(conn: AsyncConnection, account: str) -> None:
    """Unlock the name at all addresses, on behalf of an administrator or operator."""
    await conn.exec_driver_sql("delete from failed_login where starts_with(key, $1)", (account,))


async def is_known(conn: AsyncConnection, key: str) -> bool:
    """Whether the owner of this name has logged in at this address within 90 days."""
    found = await conn.exec_driver_sql("select exists (select from known_address where key = $1)", (key,))
    return bool(found.scalar_one())


async def know(conn: AsyncConnection, key: str, now: datetime) -> None:
    """Remember that the owner of a name logged in at an address."""
    await conn.exec_driver_sql(KNOW, (key, now))


async def forget_known(conn: AsyncConnection, now: datetime) -> int:
    """Delete a batch of addresses without log-ins for 90 days. Return the number deleted."""
    return await delete_some(conn, "known_address", "seen_at < $1", now - timedelta(days=KNOWN_DAYS))


async def forget_old_failures(conn: AsyncConnection, settings: IdentitySettings, now: datetime) -> int:
    """Delete a batch of failures that neither lock nor count any more. Return the number deleted."""
    over = "last_at < $1 and (locked_until is null or locked_until < $2)"
    return await delete_some(conn, "failed_login", over, now - timedelta(minutes=settings.lockout_window_minutes), now)
