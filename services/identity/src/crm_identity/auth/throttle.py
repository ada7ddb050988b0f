"""The limits of token requests per account and per address, shared by all replicas."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.identifiers import fold
from crm_kit.store.chores import delete_some

IDLE = timedelta(minutes=5)

# A bucket holds n tokens and gets n per minute. Keys are sorted, so that two requests never deadlock. The clocks of
# replicas differ slightly; then the later time counts. If the clock was set back further, the bucket starts again,
# because otherwise it would not be refilled for that time.
TAKE = """
insert into attempt_bucket as b (key, remaining, at, allowed)
select key, size - 1, $3, true from unnest($1::text[], $2::float8[]) as wanted (key, size) order by key
on conflict (key) do update set
    remaining = least(excluded.remaining + 1, b.remaining + (excluded.remaining + 1) / 60
        * greatest(0, extract(epoch from excluded.at - b.at)))
        - case when b.remaining + (excluded.remaining + 1) / 60
            * greatest(0, extract(epoch from excluded.at - b.at)) >= 1 then 1 else 0 end,
    allowed = b.remaining + (excluded.remaining + 1) / 60 * greatest(0, extract(epoch from excluded.at - b.at)) >= 1,
    at = case when excluded.at < b.at - interval '1 minute' then excluded.at else greatest(b.at, excluded.at) end
returning key, remaining, allowed
"""


class TooManyRequests(DomainError):
    """429 with the seconds until the next attempt can succeed."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            "too-many-requests",
            said("Too many token requests; try again in {seconds} s.", seconds=seconds),
            members={
                "retry_after": seconds,
                "error": "temporarily_unavailable",
                "error_description": f"Too many token requests; try again in {seconds} s.",
            },
        )


def account_key(email: str) -> str:
    """Return the bucket of a log-in name, whether or not it exists.

    It is a hash of the form used to look up the user.
    """
    return f"account:{_hash(fold(email))}"


def account_here_key(email: str, address: str) -> str:
    """Return the bucket of a log-in name at a network address. Its key starts with that of the name."""
    return f"{account_key(email)}:{_hash(address_key(address))}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def client_key(client_id: str) -> str:
    """Return the bucket of an API client, whether or not it exists."""
    return f"client:{hashlib.sha256(fold(client_id).encode('utf-8', 'replace')).hexdigest()}"


def address_key(address: str) -> str:
    """Return the bucket of a network address.

    For IPv6 it is that of the /64 network, because a client has all of it.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address:{hashlib.sha256(address.encode()).hexdigest()[:40]}"
    if isinstance(parsed, IPv6Address):
        return f"address:{IPv6Network((parsed, 64), strict=False)}"
    return f"address:{parsed}"


async def take(conn: AsyncConnection, limits: Mapping[str, int], now: datetime) -> None:
    """Count one request against each key. 429 if one of them has none left. ``limits`` are requests per minute."""
    taken = await conn.exec_driver_sql(TAKE, (list(limits), [float(limit) for limit in limits.values()], now))
    buckets: Sequence[Any] = taken.all()
    waits = [(1 - remaining) * 60 / limits[key] for key, remaining, allowed in buckets if not allowed]
    if waits:
        raise TooManyRequests(max(1, math.ceil(max(waits))))


async def forget_idle(conn: AsyncConnection, now: datetime) -> int:
    """Delete a batch of buckets that have been full for long. Return the number deleted."""
    return await delete_some(conn, "attempt_bucket", "at < $1", now - IDLE)
