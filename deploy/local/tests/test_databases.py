"""What `crm provision` creates in PostgreSQL."""

import secrets
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from crm_local import capacity, databases
from crm_local.deployment import Deployment
from crm_local.servers import Servers
from crm_local.suite import SERVICES, Backends, in_database


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.netloc.rpartition('@')[2]}"))


async def test_an_operator_who_is_no_superuser_makes_what_services_need(servers: Servers) -> None:
    """Managed PostgreSQL and Kubernetes operators provide a role that can create databases and roles, and nothing more."""
    instance = f"managed{secrets.token_hex(4)}"
    superuser = await asyncpg.connect(servers.database_url)
    await superuser.execute(f"create role {instance} login createdb createrole password 'operator'")
    operator_url = as_user(servers.database_url, instance, "operator")
    one, other = SERVICES[:2]
    passwords = {service.name: f"{service.name}-password" for service in SERVICES}
    deployment = Deployment(instance, Backends(operator_url, "", ""), passwords.__getitem__)
    try:
        await databases.make(deployment, [one, other], wants_roles=True)
        urls = {service: in_database(operator_url, f"{instance}_crm_{service.name}") for service in (one, other)}
        role = f"{instance}_crm_{one.name}"
        own = await asyncpg.connect(as_user(urls[one], role, passwords[one.name]))
        for extension in ("pg_trgm", "btree_gist"):
            await own.execute(f"create extension if not exists {extension}")
        await own.execute("create table made (id int)")
        await own.close()
        await databases.make(deployment, [one, other], wants_roles=True)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(as_user(urls[other], role, passwords[one.name]))
    finally:
        for service in (one, other):
            await superuser.execute(f"drop database if exists {instance}_crm_{service.name} with (force)")
            await superuser.execute(f"drop role if exists {instance}_crm_{service.name}")
        await superuser.execute(f"drop role {instance}")
        await superuser.close()


async def test_a_service_takes_a_third_of_the_connections_and_leaves_the_others_theirs(servers: Servers) -> None:
    """Each `up` sets the limit again, and the server enforces it."""
    instance = f"limited{secrets.token_hex(4)}"
    superuser = await asyncpg.connect(servers.database_url)
    one, other = SERVICES[:2]
    deployment = Deployment(instance, Backends(servers.database_url, "", ""), lambda name: f"{name}-password")
    roles = {service: f"{instance}_crm_{service.name}" for service in (one, other)}
    urls = {
        service: as_user(in_database(servers.database_url, role), role, f"{service.name}-password")
        for service, role in roles.items()
    }
    held: list[asyncpg.Connection] = []
    try:
        await databases.make(deployment, [one, other], wants_roles=True)
        third = int(await superuser.fetchval("select current_setting('max_connections')::int / 3"))
        limits = "select rolname, rolconnlimit from pg_roles where rolname = any($1)"
        expected = dict.fromkeys(roles.values(), third)
        assert dict(await superuser.fetch(limits, list(roles.values()))) == expected
        # The number that a test machine can open next to other tests: the limit is lowered to the number tried.
        few = 3
        await superuser.execute(f"alter role {roles[one]} connection limit {few}")
        held += [await asyncpg.connect(urls[one]) for _ in range(few)]
        with pytest.raises(asyncpg.TooManyConnectionsError, match=roles[one]):
            await asyncpg.connect(urls[one])
        held.append(await asyncpg.connect(urls[other]))
        await databases.make(deployment, [one, other], wants_roles=True)
        assert dict(await superuser.fetch(limits, list(roles.values()))) == expected, (
            "what somebody changed is set again"
        )
    finally:
        for conn in held:
            await conn.close()
        for role in roles.values():
            await superuser.execute(f"drop database if exists {role} with (force)")
            await superuser.execute(f"drop role if exists {role}")
        await superuser.close()


@pytest.mark.parametrize(
    ("pool_size", "default", "small"), [("", 300, 100), ("2", 300, 100), ("6", 300, 150), ("30", 450, 450)]
)
def test_our_own_server_takes_the_connections_of_larger_pools(
    monkeypatch: pytest.MonkeyPatch, pool_size: str, default: int, small: int
) -> None:
    monkeypatch.setenv("CRM_POOL_SIZE", pool_size)
    assert (capacity.of_own_server(small=False), capacity.of_own_server(small=True)) == (default, small)
