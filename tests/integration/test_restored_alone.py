"""One service is restored from a backup while the others keep their data.

Restores also work from an operator's environment.
"""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from crm_kit.network.urls import as_role, as_user
from crm_local.backup.manifest import Manifest
from crm_local.ports import choose
from crm_local.servers import Servers
from crm_local.suite import SERVICES, in_database, in_vhost
from tests.integration.suite import ADMINISTRATOR, Person, Suite, running
from tests.integration.test_backup import tasks_about, until_followed_up, win_a_deal


@pytest.fixture(scope="module")
def suite(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """A suite on the run's servers that keeps events for fewer days than usual."""
    days = {"CRM_OUTBOX_DAYS": "30", "CRM_INBOX_DAYS": "45"}
    with running(tmp_path_factory.mktemp("alone") / "home", choose(1)[0], servers, days) as suite:
        yield suite


async def logged_in(suite: Suite) -> Person:
    return await Person.log_in(suite, ADMINISTRATOR, suite.environment["CRM_ADMIN_PASSWORD"])


def database(suite: Suite, service: str) -> str:
    return f"{suite.status['instance']}_crm_{service}"


async def replaced(suite: Suite, backup: Path, service: str) -> list[str]:
    """Stop the suite, restore one service, and start it again. Return the databases that were there before."""
    await asyncio.to_thread(suite.crm, "down")
    said = await asyncio.to_thread(suite.crm, "restore", str(backup), "--only", service)
    await asyncio.to_thread(suite.crm, "up", "--detach")
    server = await asyncpg.connect(suite.status["database_url"])
    found = "select datname from pg_database where starts_with(datname, $1 || '_') order by 1"
    kept = [row[0] for row in await server.fetch(found, database(suite, service))]
    await server.close()
    assert all(name in said for name in kept)
    return kept


async def test_one_service_goes_back_and_the_others_go_on(suite: Suite, tmp_path: Path) -> None:
    person = await logged_in(suite)
    backup = tmp_path / "backup.tar"
    before = await win_a_deal(person, "Before")
    await until_followed_up(person, before)
    lead = await person.send("POST", "/leads", {"topic": "Kept", "last_name": "Kept"}, status=201)
    await asyncio.to_thread(suite.crm, "backup", str(backup))
    after = await win_a_deal(person, "After")
    await until_followed_up(person, after)
    await person.send("POST", f"/leads/{lead['id']}/contact", {})
    refusal = await asyncio.to_thread(suite.crm_fails, "restore", str(backup), "--only", "sales")
    assert "in use by sales-api, sales-worker" in refusal
    assert "nothing was changed" in refusal
    await person.close()

    # Activities knew the second deal and had made a task. It receives the deal again and makes a task again.
    [kept] = await replaced(suite, backup, "activities")
    person = await logged_in(suite)
    await until_followed_up(person, after)
    assert [await tasks_about(person, deal) for deal in (before, after)] == [1, 1]
    assert await tasks_there(suite, kept, after) == 1
    await asyncio.to_thread(suite.crm, "events", "compare")
    await person.close()

    # Sales and its followers lose the second deal.
    await replaced(suite, backup, "sales")
    person = await logged_in(suite)
    await person.send("GET", f"/opportunities/{after}", status=404)
    assert (await person.send("GET", f"/leads/{lead['id']}"))["status_reason"] == "new"
    await person.send("POST", f"/leads/{lead['id']}/contact", {})
    fresh = await win_a_deal(person, "Fresh")
    await until_followed_up(person, fresh)
    assert await tasks_about(person, before) == 1
    await asyncio.to_thread(suite.crm, "events", "compare")
    assert not await asyncio.to_thread(suite.crm, "events", "parked")
    await person.close()


async def tasks_there(suite: Suite, name: str, deal: str) -> int:
    """Return the tasks about a deal in a former database of activities."""
    conn = await asyncpg.connect(in_database(suite.status["database_url"], name))
    count: int = await conn.fetchval("select count(*) from task where regarding_id::text = $1", deal)
    await conn.close()
    return count


async def test_an_operators_environment(suite: Suite, tmp_path: Path) -> None:
    """As in containers: without a home, and with the passwords of services in the environment."""
    instance, told = f"copy_{secrets.token_hex(4)}", {service.name: secrets.token_urlsafe(12) for service in SERVICES}
    environment = {
        **suite.environment,
        "CRM_HOME": str(tmp_path / "none"),
        "CRM_INSTANCE": instance,
        "CRM_SERVICE_PASSWORDS": ",".join(f"{name}={password}" for name, password in told.items()),
        "AMQP_URL": in_vhost(suite.environment["AMQP_URL"], instance),
    }
    there = Suite({}, environment)
    backup = tmp_path / "backup"
    await asyncio.to_thread(suite.crm, "backup", str(backup))
    manifest = Manifest.read(backup)
    assert (manifest.outbox_days, manifest.inbox_days) == (30, 45)
    await asyncio.to_thread(there.crm, "restore", str(backup))
    for service in SERVICES:
        role, password = f"{instance}_crm_{service.name}", told[service.name]
        url = as_role(in_database(suite.status["database_url"], role), role, password)
        conn = await asyncpg.connect(url)
        assert await conn.fetchval("select count(*) from outbox") == await events_of(suite, service.name)
        await conn.close()
        connection = await aio_pika.connect(as_user(environment["AMQP_URL"], f"{instance}.{service.name}", password))
        await connection.close()
    assert not (tmp_path / "none").exists()

    # The backup of this deployment has none of its secrets. One of its services is restored alone.
    of_copy = tmp_path / "copy.tar"
    await asyncio.to_thread(there.crm, "backup", str(of_copy))
    sales = as_role(
        in_database(suite.status["database_url"], f"{instance}_crm_sales"), f"{instance}_crm_sales", told["sales"]
    )
    runs = await asyncpg.connect(sales, server_settings={"application_name": "sales-api"})
    epoch = await runs.fetchval("select max(epoch) from database_epoch")
    assert "in use by sales-api" in await asyncio.to_thread(there.crm_fails, "restore", str(of_copy), "--only", "sales")
    await runs.close()
    assert "is of the suite" in await asyncio.to_thread(there.crm_fails, "restore", str(backup), "--only", "sales")
    said = await asyncio.to_thread(there.crm, "restore", str(of_copy), "--only", "sales")
    assert f"{instance}_crm_sales_until_" in said
    conn = await asyncpg.connect(sales)
    assert await conn.fetchval("select max(epoch) from database_epoch") > epoch
    await conn.close()


async def events_of(suite: Suite, service: str) -> int:
    conn = await asyncpg.connect(in_database(suite.status["database_url"], database(suite, service)))
    count: int = await conn.fetchval("select count(*) from outbox")
    await conn.close()
    return count
