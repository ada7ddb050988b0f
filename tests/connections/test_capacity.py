"""A second suite on a server that accepts the connections of one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from crm_gateway.settings import GatewaySettings
from crm_kit.configuration.settings import Settings
from crm_kit.importing.runner import lanes_of
from crm_kit.process.runtime import WORKING
from crm_local import ports, prepare
from crm_local.capacity import TooFew, check, needed
from crm_local.deployment import Deployment
from crm_local.processes import stop
from crm_local.servers import await_ready, own
from crm_local.state import Home
from crm_local.suite import ROLES, SERVICES, Backends, Suite


@pytest.fixture(scope="module")
def cramped(directory: Path) -> Iterator[str]:
    """A server that accepts 100 connections, the default of PostgreSQL."""
    (port,) = ports.choose(1)
    instance = own.postgres_cluster(directory / "cramped", port, None, log=directory / "cramped.log", throwaway=True)
    with (directory / "cramped" / "data" / "postgresql.conf").open("a") as file:
        file.write("max_connections = 100\n")
    command = instance.command
    argv = tuple(word for word in command.argv if not word.startswith("--max_connections"))
    process = type(command)(**{**vars(command), "argv": argv}).start()
    try:
        await_ready(instance, process)
        yield instance.url
    finally:
        stop([process])


def test_what_is_needed_is_what_the_settings_say() -> None:
    told = {"CRM_SECRET": "s", "DATABASE_URL": "postgresql://h/d"}
    total = 0
    for service in SERVICES:
        kind = GatewaySettings if service.name == "gateway" else Settings
        for role in ROLES:
            total += kind.model_validate({**told, "CRM_SERVICE": service.name, "CRM_ROLE": role}).connections + 1
    assert needed(SERVICES) == total
    assert needed(SERVICES, 2) == 3 * len(SERVICES) * len(ROLES)


async def test_a_suite_that_does_not_fit_beside_another_is_told_at_once(cramped: str, tmp_path: Path) -> None:
    operator = await asyncpg.connect(cramped)
    await operator.execute("create database one_crm_sales")
    parts = urlsplit(cramped)
    of_the_first = await asyncpg.connect(parts._replace(path="/one_crm_sales").geturl())
    try:
        await check(operator, "one", SERVICES)
        with pytest.raises(TooFew) as refused:
            await check(operator, "two", SERVICES)
        for told in (
            "takes 100 connections",
            "3 are reserved",
            "others may use 90 (the suite one 90)",
            "this suite may use 90: 83 are missing",
            "alter system set max_connections = 200",
            "CRM_POOL_SIZE=2 needs 47",
        ):
            assert told in str(refused.value)
        home = Home(tmp_path)
        home.make()
        suite = Suite(home.kept())
        deployment = Deployment("two", Backends(cramped, "", ""), lambda _: "hunter2")
        made = await operator.fetchval("select count(*) from pg_database")
        with pytest.raises(SystemExit, match="are missing"):
            await asyncio.to_thread(prepare._make_databases, suite, deployment)
        assert await operator.fetchval("select count(*) from pg_database") == made, "nothing was begun"
        await of_the_first.close()
        await check(operator, "two", SERVICES)
    finally:
        await operator.close()


async def test_a_server_that_has_no_connection_left_is_told_at_once(cramped: str, tmp_path: Path) -> None:
    operator = await asyncpg.connect(cramped)
    await operator.execute("create role few login createdb createrole password 'few' connection limit 0")
    url = urlsplit(cramped)
    few = url._replace(netloc=f"few:few@{url.hostname}:{url.port}").geturl()
    home = Home(tmp_path)
    home.make()
    deployment = Deployment("three", Backends(few, "", ""), lambda _: "hunter2")
    try:
        with pytest.raises(SystemExit, match="too many connections for role"):
            await asyncio.to_thread(prepare._make_databases, Suite(home.kept()), deployment)
    finally:
        await operator.execute("drop role few")
        await operator.close()


@pytest.mark.parametrize(("role", "connections"), [("worker", 4), ("all", WORKING)])
def test_imports_leave_a_connection_to_the_other_loops(role: str, connections: int) -> None:
    told = {"CRM_SERVICE": "sales", "CRM_SECRET": "s", "DATABASE_URL": "postgresql://h/d", "CRM_ROLE": role}
    assert lanes_of(Settings.model_validate(told)) < connections
