"""Events of every type with hostile values in every place, through a real queue to the real worker of every service."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from crm_contracts.catalogue import Event, all_events
from crm_contracts.samples import sample
from crm_kit import clock
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.events.consumers import Consumers
from crm_kit.store.record import new_id
from crm_kit.testing import Rabbit
from crm_kit.testing.databases import Databases
from crm_kit.testing.rabbit import own_vhost
from crm_local import ports
from crm_local.servers import Servers
from tests.conftest import service_of

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**31,
    2**63 - 1,
    1e308,
    "",
    "a\0b",
    "x" * 40_000,
    "9999-12-31T23:59:59-14:00",
    "1e999999",
    [],
    [[[]]],
    {},
    {"a": {"b": "\0"}},
)
MOST_LINES = 40
"""Maximum log lines of a worker for each hostile event: parking it in each group, and the halved batches before that."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return every member of the envelope, and every scalar below them."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*path, key))


def spoilt(event: type[Event], path: tuple[Any, ...], value: Any) -> bytes:
    """Return a first event of a new record with another value in one place."""
    document = deepcopy(sample(event))
    told: Any = new_id()
    document |= {"id": str(new_id()), "subject": str(told), "entityversion": 1, "time": clock.now().isoformat()}
    document["data"]["record"] |= {"id": str(told), "version": 1}
    at: Any = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return orjson.dumps(document)


def hostile(events: list[type[Event]], most: int) -> list[tuple[type[Event], bytes]]:
    """Return this many of all combinations, spread over types, places and values."""
    every = [(event, path, value) for event in events for path in places(sample(event)) for value in HOSTILE]
    step = max(1, len(every) // most) | 1  # An odd step, so that it does not align with the values.
    return [(event, spoilt(event, path, value)) for event, path, value in every[::step]]


def good(event: type[Event]) -> tuple[type[Event], bytes]:
    document = orjson.loads(spoilt(event, ("tracestate",), "liaison=1"))
    return event, orjson.dumps(document)


@asynccontextmanager
async def working(package: str, environment: dict[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The worker of the service as a separate process."""
    run = f"from {package}.worker import run; run()"
    with log.open("wb") as lines:
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", run, env=environment, stderr=lines, stdout=lines
        )
    try:
        yield worker
    finally:
        if worker.returncode is None:
            worker.terminate()
        await worker.wait()


@pytest.fixture
async def rabbit(servers: Servers) -> AsyncIterator[Rabbit]:
    """A separate virtual host, so that messages left in its queues reach no worker of another test."""
    async with own_vhost(servers.amqp_url, servers.amqp_management_url) as rabbit:
        yield rabbit


async def test_hostile_events_are_set_aside_and_good_ones_take_effect(
    package: str, databases: Databases, rabbit: Rabbit, tmp_path: Path, figures: Any
) -> None:
    service = service_of(package)
    consumers: Consumers = import_module(f"{package}.consumers").CONSUMERS
    database = databases.of(service)
    await rabbit.declare({service.name: consumers.routing_keys()})
    followed = [
        event
        for event in all_events()
        if consumers.interested(event.type) and ".snapshot.v" not in event.type and ".created.v" in event.type
    ]
    bad = hostile(followed, 200)
    kept = [good(event) for event in followed for _ in range(3)]
    mixed = [*kept[: len(kept) // 2], *bad, *kept[len(kept) // 2 :]]
    publisher = Publisher(rabbit.amqp_url, name="attacker")
    messages = [
        outgoing(
            body,
            event.type,
            message_id=str(new_id()),
            headers={"id": str(new_id()), "type": event.type, "source": f"/crm/{event.entity.service}"},
        )
        for event, body in mixed
    ]
    outcomes = await publisher.publish(EVENTS, messages, seconds=60)
    await publisher.close()
    assert set(outcomes) == {Outcome.CONFIRMED}
    environment = {
        **os.environ,
        "CRM_SERVICE": service.name,
        "CRM_ROLE": "worker",
        "CRM_SECRET": "a secret that only tests know",
        "CRM_PORT": str(ports.choose(1)[0]),
        "DATABASE_URL": database.url,
        "AMQP_URL": rabbit.amqp_url,
        "CRM_JWKS_URL": "http://127.0.0.1:9/none",
    }
    expected = {
        (group.name, orjson.loads(body)["id"]) for event, body in kept for group in consumers.interested(event.type)
    }
    log = tmp_path / "worker.log"
    conn = await asyncpg.connect(database.url)
    try:
        async with working(package, environment, log) as worker, asyncio.timeout(180):
            while True:
                done = await effects(conn, consumers, kept)
                if expected <= done and await tried(conn):
                    break
                assert worker.returncode is None
                await asyncio.sleep(0.2)
            assert worker.returncode is None
        parked = await conn.fetch("select last_error from inbox where state = 'parked'")
        stored = await conn.fetchval("select count(*) from inbox where state in ('pending', 'waiting')")
    finally:
        await conn.close()
        await database.restore()
    lines = [line for line in log.read_bytes().splitlines() if b"inbox." in line or b"intake." in line]
    figures(service=service.name, good=len(kept), hostile=len(bad), parked=len(parked), stored=stored, lines=len(lines))
    assert parked
    assert all(row["last_error"] for row in parked)
    assert len(lines) < MOST_LINES * len(bad), "no loop spins"
    assert not any(b"intake.holding" in line or b"loop_died" in line for line in lines), "nothing was waited for"


async def effects(
    conn: "asyncpg.Connection[asyncpg.Record]", consumers: Consumers, told: Sequence[tuple[type[Event], bytes]]
) -> set[tuple[str, str]]:
    """Return the groups that have handled each event, by the inbox or by the rows of a projection."""
    rows = await conn.fetch("select consumer, event_id::text as event_id from inbox where state = 'done'")
    found = {(row["consumer"], row["event_id"]) for row in rows}
    for group in consumers.groups.values():
        if not group.keyless:
            continue
        if group.journal is not None:
            shown = await conn.fetch(f"select id::text as id from {group.journal.table}")  # The group's own rows.
            found |= {(group.name, row["id"]) for row in shown}
        for copies in group.copies:
            rows = await conn.fetch(f"select id::text as id, version from {copies.table}")  # The same here.
            known = {(row["id"], row["version"]) for row in rows}
            for body in (orjson.loads(body) for _, body in told):
                if (body["subject"], body["entityversion"]) in known:
                    found.add((group.name, body["id"]))
    return found


async def tried(conn: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Whether every message was tried: good ones came before and after the bad ones.

    Deferred messages are tried later.
    """
    return not await conn.fetchval("select exists (select from inbox where state = 'pending' and attempts = 0)")
