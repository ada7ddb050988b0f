"""Checks whether PostgreSQL accepts the connections of the suite in addition to those of others."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from crm_local.suite import SERVICES, Role, Service, database_name

if TYPE_CHECKING:
    from crm_kit.store.sessions import Connection

_LISTENS = 1
"""Each process has one listening connection in addition to its pool."""
_POOLS: dict[Role, int] = {"api": 6, "worker": 5}
_GATEWAY: dict[Role, int] = {"api": 2, "worker": 3}
_OWN = 5
"""Reserve for operator commands and for a process that starts before another has ended."""

_RESERVED = 3
"""What PostgreSQL reserves for superusers by default."""
_LEAST, _LEAST_SMALL = 300, 100
"""For three suites, or one whose processes are replaced one by one; and for one suite on a small machine."""

_LIMITS = """
select current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int
  + coalesce(current_setting('reserved_connections', true), '0')::int
"""
_USED = """
select coalesce(datname, 'no database') from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid()
"""
_OF_A_SUITE = re.compile(rf"(.+)_crm_({'|'.join(service.name for service in SERVICES)})")


class TooFew(Exception):
    """The server accepts too few connections. The text says how many are needed, for whom, and what to do."""


def needed(services: Iterable[Service], pool_size: int = 0) -> int:
    """The maximum for one api and one worker of each service."""
    pools = [(_GATEWAY if service.name == "gateway" else _POOLS) for service in services]
    return sum((pool_size or most) + _LISTENS for roles in pools for most in roles.values())


def of_own_server(*, small: bool) -> int:
    """What `max_connections` of a server that only this suite uses should be: for larger pools (CRM_POOL_SIZE), more."""
    wanted = needed(SERVICES, _pool_size()) + _OWN + _RESERVED
    return max(_round(wanted), _LEAST_SMALL if small else _LEAST)


async def check(connection: "Connection", instance: str, services: Sequence[Service]) -> None:
    """Raises TooFew. Another suite on the server counts with its maximum, not with its open connections."""
    most, reserved = await connection.fetchrow(_LIMITS)
    used = Counter(row[0] for row in await connection.fetch(_USED))
    for service in services:
        used.pop(database_name(instance, service), None)
    others = _others(used)
    wanted = needed(services, _pool_size()) + _OWN
    missing = wanted + sum(others.values()) + reserved - most
    if missing <= 0:
        return
    told = ", ".join(f"{name} {count}" for name, count in others.most_common(5))
    raise TooFew(
        f"PostgreSQL takes {most} connections (max_connections): {reserved} are reserved,"
        f" others may use {sum(others.values())}{f' ({told})' if told else ''}, and this suite may use {wanted}:"
        f" {missing} are missing. Set max_connections to {_round(most + missing)} or more (alter system set"
        f" max_connections = {_round(most + missing)}; then restart PostgreSQL), stop what else uses it, or choose smaller"
        f" pools (CRM_POOL_SIZE=2 needs {needed(services, 2) + _OWN})"
    )


def _others(used: Counter[str]) -> Counter[str]:
    """The maximum connections of others: by suite, and by database for connections without one."""
    found: Counter[str] = Counter()
    suites: dict[str, Counter[str]] = {}
    for database, count in used.items():
        if match := _OF_A_SUITE.fullmatch(database):
            suites.setdefault(match[1], Counter())[database] = count
        else:
            found[database] = count
    for suite, databases in suites.items():
        found[f"the suite {suite}"] = max(databases.total(), needed(SERVICES) + _OWN)
    return found


def _pool_size() -> int:
    return int(os.environ.get("CRM_POOL_SIZE") or 0)


def _round(number: int) -> int:
    return -(-number // 50) * 50
