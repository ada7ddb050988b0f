"""How many token requests an account or an address may make, counted for all replicas together."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.errors import DomainError
from crm_kit.identifiers import fold
from crm_kit.store.chores import delete_some

IDLE = timedelta(minutes=5)

# A bucket of n tokens, refilled with n a minute. Keys in one order, so that two requests never wait for each other.
# Replicas' clocks differ a little, and then the later one counts; where time has gone back by more, it is counted anew, or
# nothing would be refilled for as long as it went back.
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
    """429 with the seconds after which another try is worth it."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            "too-many-requests",
            f"Too many token requests; try again in {seconds} s.",
            members={
                "retry_after": seconds,
                "error": "temporarily_unavailable",
                "error_description": f"Too many token requests; try again in {seconds} s.",
            },
        )


def account_key(email: str) -> str:
    """The bucket of a log-in name, known or not: of what the look-up of the user compares. The name itself is not kept."""
    return f"account:{_hash(fold(email))}"


def account_here_key(email: str, address: str) -> str:
    """The bucket of a log-in name at a network address; it begins with the name's own."""
    return f"{account_key(email)}:{_hash(address_key(address))}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def client_key(client_id: str) -> str:
    """The bucket of an API client, known or not."""
    return f"client:{hashlib.sha256(fold(client_id).encode('utf-8', 'replace')).hexdigest()}"


def address_key(address: str) -> str:
    """The bucket of a network address. An IPv6 client has a whole /64 to itself, so that is what counts."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"address:{hashlib.sha256(address.encode()).hexdigest()[:40]}"
    if isinstance(parsed, IPv6Address):
        return f"address:{IPv6Network((parsed, 64), strict=False)}"
    return f"address:{parsed}"


async def take(conn: AsyncConnection, limits: Mapping[str, int], now: datetime) -> None:
    """Count one request against each key; 429 when one of them has none left. ``limits`` are requests a minute."""
    taken = await conn.exec_driver_sql(TAKE, (list(limits), [float(limit) for limit in limits.values()], now))
    buckets: Sequence[Any] = taken.all()
    waits = [(1 - remaining) * 60 / limits[key] for key, remaining, allowed in buckets if not allowed]
    if waits:
        raise TooManyRequests(max(1, math.ceil(max(waits))))


async def forget_idle(conn: AsyncConnection, now: datetime) -> int:
    """Drop some of the buckets that have long been full again; returns how many."""
    return await delete_some(conn, "attempt_bucket", "at < $1", now - IDLE)
