"""A suite is backed up while users work and events are in transit. It is restored at another path with other servers.

Nothing is lost, and nothing happens twice.
"""

import asyncio
import json
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import aiohttp
import asyncpg
import pytest

from crm_local.backup.manifest import Manifest, described
from crm_local.ports import choose
from crm_local.servers import Servers
from crm_local.suite import in_database
from tests.integration.suite import ADMINISTRATOR, Person, Suite, running

SECONDS = 120
NO_LIVENESS = {"CRM_LIVENESS_SECONDS": "0"}
"""Prevents the supervisor from killing a process that a test has frozen."""


@pytest.fixture(scope="module")
def original(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """A suite on the run's servers."""
    with running(tmp_path_factory.mktemp("original") / "home", choose(1)[0], servers, NO_LIVENESS) as suite:
        yield suite


@contextmanager
def frozen(suite: Suite, name: str) -> Iterator[None]:
    """Freeze one process of the suite during the block."""
    pid = next(one["pid"] for one in suite.status["services"] if one["name"] == name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def win_a_deal(person: Person, name: str) -> str:
    """Win a deal made of a lead. Return the id of the deal."""
    lead = await person.send("POST", "/leads", {"topic": name, "last_name": name, "company_name": name}, status=201)
    qualified = await person.send("POST", f"/leads/{lead['id']}/qualify", {"allow_duplicates": True})
    deal: str = qualified["opportunity_id"]
    worth = {"actual_value": {"amount": "100", "currency": "EUR"}}
    await person.send("POST", f"/opportunities/{deal}/win", worth)
    return deal


async def tasks_about(person: Person, deal: str) -> int:
    person.after = ""
    return len((await person.send("GET", f"/tasks?regarding.id={deal}"))["items"])


async def until_followed_up(person: Person, deal: str) -> None:
    """Wait until activities has made the follow-up task of a won deal."""
    async with asyncio.timeout(SECONDS):
        while not await tasks_about(person, deal):  # noqa: ASYNC110  # another process's progress
            await asyncio.sleep(0.1)


async def until_published(suite: Suite) -> None:
    """Wait until sales has nothing left to publish."""
    conn = await asyncpg.connect(in_database(suite.status["database_url"], f"{suite.status['instance']}_crm_sales"))
    try:
        async with asyncio.timeout(SECONDS):
            while await conn.fetchval("select exists (select from outbox where state = 'pending')"):  # noqa: ASYNC110  # its progress
                await asyncio.sleep(0.1)
    finally:
        await conn.close()


async def wins_heard(url: str, wanted: set[str]) -> list[tuple[str, int]]:
    """Return (deal, version) of the wins that a subscriber receives, until all wanted ones have arrived."""
    connection = await aio_pika.connect(url)
    heard: list[tuple[str, int]] = []
    try:
        queue = await (await connection.channel()).get_queue("ext.acme.events")
        async with asyncio.timeout(SECONDS), queue.iterator() as messages:
            async for message in messages:
                event: dict[str, Any] = json.loads(message.body)
                await message.ack()
                heard.append((event["subject"], event["entityversion"]))
                if wanted <= {deal for deal, _ in heard}:
                    break
    finally:
        await connection.close()
    return heard


def at_the_broker_of(suite: Suite, url: str) -> str:
    """Return the URL of a subscriber with the address of another suite's broker."""
    account = urlsplit(url).netloc.rpartition("@")[0]
    place = urlsplit(suite.status["amqp_url"]).netloc.rpartition("@")[2]
    return urlunsplit(urlsplit(url)._replace(netloc=f"{account}@{place}"))


@contextmanager
def restored(source: Path, home: Path, original: Suite) -> Iterator[Suite]:
    """Restore a backup as a suite with its own home and servers."""
    told = {
        k: v for k, v in original.environment.items() if k not in ("DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL")
    }
    environment = {**told, "CRM_HOME": str(home), "CRM_GATEWAY_PORT": str(choose(1)[0])}
    there = Suite({}, environment)
    there.crm("restore", str(source))
    there.crm("up", "--detach")
    try:
        yield Suite(json.loads(there.crm("status", "--json")), environment)
    finally:
        there.crm("down")


@pytest.fixture
async def administrator(original: Suite) -> AsyncIterator[Person]:
    person = await Person.log_in(original, ADMINISTRATOR, original.environment["CRM_ADMIN_PASSWORD"])
    yield person
    await person.close()


async def refreshed(suite: Suite, token: str) -> int:
    """Refresh a session that started before, and return the answer."""
    async with aiohttp.ClientSession(suite.gateway) as session:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        async with session.post("/api/v1/auth/token", data=form) as answer:
            return answer.status


async def test_a_restored_suite_lacks_nothing_and_does_nothing_twice(
    original: Suite, administrator: Person, tmp_path: Path
) -> None:
    printed = await asyncio.to_thread(
        original.crm, "subscribers", "add", "acme", "--bind", "crm.sales.opportunity.won.#"
    )
    acme = printed.rpartition("AMQP URL")[2].strip()
    done = await win_a_deal(administrator, "Done")
    await until_followed_up(administrator, done)
    assert [deal for deal, _ in await wins_heard(acme, {done})] == [done]
    session = await begun_session(original)
    backup = tmp_path / "backup.tar"
    with frozen(original, "activities-worker"):
        queued = await win_a_deal(administrator, "Queued")
        await until_published(original)
        with frozen(original, "sales-worker"):
            written = await win_a_deal(administrator, "Written")
            await asyncio.to_thread(original.crm, "backup", str(backup))
    assert backup.stat().st_mode & 0o777 == 0o600
    assert "complete and unchanged" in original.crm("backup", "--verify", str(backup))
    with restored(backup, tmp_path / "elsewhere" / "home", original) as suite:
        assert await refreshed(suite, session) in (400, 401)
        person = await Person.log_in(suite, ADMINISTRATOR, suite.environment["CRM_ADMIN_PASSWORD"])
        fresh = await win_a_deal(person, "Fresh")
        heard = await wins_heard(at_the_broker_of(suite, acme), {queued, written, fresh})
        # The last event arrives after all others.
        await until_followed_up(person, fresh)
        for deal in (queued, written):
            await until_followed_up(person, deal)
        assert [await tasks_about(person, deal) for deal in (done, queued, written, fresh)] == [1, 1, 1, 1]
        assert {deal for deal, _ in heard} <= {done, queued, written, fresh}
        assert not suite.crm("events", "parked")
        await person.close()


async def databases_of(suite: Suite, instance: str) -> dict[str, int]:
    """Return the databases of an instance on the suite's server, each with the number of events in its outbox."""
    server = await asyncpg.connect(suite.status["database_url"])
    found = await server.fetch("select datname from pg_database where starts_with(datname, $1)", f"{instance}_crm_")
    await server.close()
    events = {}
    for (name,) in found:
        conn = await asyncpg.connect(in_database(suite.status["database_url"], name))
        events[name.rpartition("_")[2]] = await conn.fetchval("select count(*) from outbox")
        await conn.close()
    return events


def spoil(backup: Path) -> Path:
    """Make a backup whose last database cannot be restored, although its checksums are right."""
    spoilt = backup.with_name("spoilt")
    shutil.copytree(backup, spoilt)
    dump = spoilt / "databases" / "gateway.dump"
    dump.write_bytes(dump.read_bytes()[:-500])
    manifest = Manifest.read(spoilt)
    with dump.open("rb") as file:
        manifest.files["databases/gateway.dump"] = described(file)
    manifest.write(spoilt)
    return spoilt


async def test_beside_its_original_on_the_same_servers(original: Suite, administrator: Person, tmp_path: Path) -> None:
    backup, home = tmp_path / "backup", tmp_path / "beside"
    copy = f"copy_{secrets.token_hex(4)}"
    await asyncio.to_thread(original.crm, "backup", str(backup))
    beside = Suite({}, {**original.environment, "CRM_HOME": str(home)})
    assert "holds the database" in await asyncio.to_thread(beside.crm_fails, "restore", str(backup))
    copied = Suite({}, {**beside.environment, "CRM_INSTANCE": copy})
    complaint = await asyncio.to_thread(copied.crm_fails, "restore", str(spoil(backup)))
    assert "pg_restore" in complaint
    assert (await databases_of(original, copy), home.exists()) == ({}, False)
    assert "restored in" in await asyncio.to_thread(copied.crm, "restore", str(backup))
    theirs, ours = await databases_of(original, copy), await databases_of(original, original.status["instance"])
    assert theirs.keys() == ours.keys()
    assert theirs["identity"] == ours["identity"] > 0
    assert "is not empty" in await asyncio.to_thread(copied.crm_fails, "restore", str(backup))


async def begun_session(suite: Suite) -> str:
    """Log in. Return the refresh token."""
    form = {"grant_type": "password", "username": ADMINISTRATOR, "password": suite.environment["CRM_ADMIN_PASSWORD"]}
    async with (
        aiohttp.ClientSession(suite.gateway) as session,
        session.post("/api/v1/auth/token", data=form) as answer,
    ):
        return str((await answer.json())["refresh_token"])
