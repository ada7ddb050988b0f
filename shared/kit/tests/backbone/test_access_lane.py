"""What decides who may do what waits for nothing else: not for a slow handler, a full inbox, or a message that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from crm_contracts.identity import AccessChangeCreated
from crm_contracts.samples import sample
from crm_kit import clock
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import EVENTS, access_of, direct_key, inbox_of, replay_of
from crm_kit.broker.publishing import Publisher
from crm_kit.copies.directory_feed import follow_identity
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.operating import topology
from crm_kit.process.runtime import Runtime, access_runtime
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork
from crm_local.servers import Servers

from .conftest import Story, rows, send, until
from .miniature import ThingCreated


@dataclass
class Blocked:
    """An inbox whose handler waits, in the middle of its transaction, until it is let go."""

    consumers: Consumers
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
async def blocked(servers: Servers, amqp_url: str) -> Blocked:
    blocked = Blocked(Consumers("mini"))
    follow_identity(blocked.consumers, "mini")

    @blocked.consumers.step(ThingCreated, group="mini.slow")
    async def wait(event: ThingCreated, uow: UnitOfWork) -> None:
        await uow.connection()
        blocked.entered.set()
        await blocked.let_go.wait()

    keys = {"mini": blocked.consumers.routing_keys(), "identity": ()}
    caps = topology.Caps(log_bytes=100_000_000)
    await topology.apply(keys, amqp_url, servers.amqp_management_url, caps=caps)
    return blocked


@asynccontextmanager
async def both(blocked: Blocked, runtime: Runtime, amqp_url: str) -> AsyncIterator[None]:
    """The loops of both queues, as a worker runs them."""
    apart = access_runtime(runtime)
    ordinary = Intake(Dispatcher(blocked.consumers, runtime), amqp_url)
    access = Intake(Dispatcher(blocked.consumers, apart), amqp_url, access=True)
    loops = (ordinary.run(), ordinary.retries.run(), ordinary.run_parking(), access.run(), access.retries.run())
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        blocked.let_go.set()
        ordinary.stop()
        access.stop()
        _, late = await asyncio.wait(tasks, timeout=20)
        await apart.db.dispose()
        assert not late


def revocation(principal: UUID, **members: Any) -> bytes:
    """Identity tells that a principal's rights have changed just now."""
    document = {**sample(AccessChangeCreated), "id": str(new_id()), "subject": str(new_id())}
    record = document["data"]["record"]
    record |= {"id": document["subject"], "not_before": (clock.now() + timedelta(seconds=1)).isoformat()}
    record["principals"] = [{**record["principals"][0], "id": str(principal)}]
    return orjson.dumps({**document, **members})


async def tell(
    publisher: Publisher, body: bytes, *, exchange: str = EVENTS, key: str = AccessChangeCreated.type
) -> None:
    headers = {"id": str(new_id()), "type": AccessChangeCreated.type, "source": "/crm/identity"}
    message = outgoing(body, key, message_id=headers["id"], headers=headers)
    assert await publisher.publish(exchange, [message]) == [Outcome.CONFIRMED]


def revoked(runtime: Runtime, principal: UUID) -> Any:
    async def is_revoked() -> bool:
        return runtime.directory.superseded(principal, clock.now().timestamp() - 60)

    return is_revoked


async def test_a_revocation_overtakes_a_blocked_and_full_inbox(
    blocked: Blocked, runtime: Runtime, publisher: Publisher, amqp_url: str
) -> None:
    await send(publisher, *(Story().tell("created") for _ in range(2000)))
    async with both(blocked, runtime, amqp_url):
        async with asyncio.timeout(120):
            await blocked.entered.wait()
        principal = new_id()
        await tell(publisher, revocation(principal))
        await until(revoked(runtime, principal))
        assert not blocked.let_go.is_set()
        [(handled,)] = await rows(runtime, "select count(*) from inbox where consumer = 'mini.slow' and state = 'done'")
        assert handled == 0


async def test_hostile_events_in_the_access_queue_keep_no_revocation_waiting(
    blocked: Blocked, runtime: Runtime, publisher: Publisher, amqp_url: str
) -> None:
    hostile = [b"{", revocation(new_id(), entityversion=2**40), revocation(new_id(), time="9999-12-31T23:59:59-14:00")]
    principals = [new_id() for _ in hostile]
    for body, principal in zip(hostile, principals, strict=True):
        await tell(publisher, body)
        await tell(publisher, revocation(principal))
    async with both(blocked, runtime, amqp_url):
        for principal in principals:
            await until(revoked(runtime, principal))

        async def parked() -> bool:
            found = await rows(
                runtime, "select count(*) from inbox where state = 'parked' and consumer = 'mini.access'"
            )
            return found == [(len(hostile),)]

        await until(parked)


async def test_what_comes_by_both_queues_takes_effect_once_and_what_comes_by_the_inbox_alone_too(
    blocked: Blocked, runtime: Runtime, publisher: Publisher, amqp_url: str
) -> None:
    """An inbox still holds what was published before the access queue was declared, and gets the snapshots."""
    by_both, replayed = new_id(), new_id()
    async with both(blocked, runtime, amqp_url):
        await tell(publisher, revocation(by_both))
        body = revocation(replayed)
        document = orjson.loads(body)
        key = direct_key(inbox_of("mini"), AccessChangeCreated.type)
        await tell(publisher, orjson.dumps(document), exchange=replay_of("identity"), key=key)
        await until(revoked(runtime, by_both))
        await until(revoked(runtime, replayed))
    assert await rows(runtime, "select count(*) from inbox where consumer = 'mini.access' and state = 'done'") == [(2,)]
    assert await rows(runtime, "select marker from access_state") == [(2,)], "each changed the copies once"


async def test_two_overlapping_refreshes_leave_the_newer_state(
    blocked: Blocked, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reads, the second reads more and is done, and then the first is done."""
    directory, principal = runtime.directory, new_id()
    read, go_on, first = type(directory)._load, asyncio.Event(), True
    reading = asyncio.Event()

    async def load(self: Any, conn: Any) -> None:
        nonlocal first
        await read(self, conn)
        if first:
            first = False
            older = dict(self._revoked)
            reading.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    await go_on.wait()
            self._revoked = older

    monkeypatch.setattr(type(directory), "_load", load)
    await directory.stop()
    directory._marker = -1
    slow = asyncio.create_task(directory.refresh())
    await reading.wait()
    dispatcher = Dispatcher(blocked.consumers, runtime)
    await dispatcher.settle([Message.read(revocation(principal))])
    quick = asyncio.create_task(directory.refresh())
    quick.add_done_callback(lambda _: go_on.set())
    await asyncio.gather(slow, quick)
    assert directory.superseded(principal, clock.now().timestamp() - 60)


def test_the_access_queue_hears_what_the_group_follows() -> None:
    consumers = Consumers("mini")
    follow_identity(consumers, "mini")
    inbox, access, _ = topology.queues_of("mini", consumers.routing_keys())
    assert access.name == access_of("mini") == consumers.access_queue
    assert {key for _, key in access.bindings} == set(consumers.routing_keys())
    assert {key for _, key in access.bindings} < {key for _, key in inbox.bindings}
