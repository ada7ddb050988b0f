"""Every committed event reaches the broker, in order per record, whatever dies on the way."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import orjson
import pytest
import structlog

from crm_kit import clock
from crm_kit.broker.connecting import BrokerDown
from crm_kit.broker.consuming import Session
from crm_kit.broker.messages import Delivery, Outcome, Outgoing
from crm_kit.broker.publishing import Publisher
from crm_kit.events.relay import Relay
from crm_kit.operating import topology
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.work.outbox import SHARDS, shard_of
from crm_kit.work.uow import UnitOfWork
from crm_local.servers import Servers

from .conftest import WorkerProcess, rows, until
from .miniature import Thing, ThingCreated, ThingRenamed

PENDING = "select count(*) from outbox where state = 'pending'"


async def make_things(runtime: Runtime, count: int) -> list[UUID]:
    async with runtime.db.begin() as conn:
        uow = UnitOfWork.for_timer(conn, runtime)
        things = [uow.add(Thing(name=f"thing {n}"), ThingCreated) for n in range(count)]
        await uow.flush()
    return [thing.id for thing in things]


async def rename(runtime: Runtime, thing_id: UUID, name: str) -> None:
    async with runtime.db.begin() as conn:
        uow = UnitOfWork.for_timer(conn, runtime)
        thing = await uow.load(Thing, thing_id)
        thing.name = name
        uow.emit(thing, ThingRenamed)
        await uow.flush()


async def receive(amqp_url: str, count: int) -> list[Delivery]:
    """The next so many messages of the miniature service's queue."""
    taken: list[Delivery] = []
    async with asyncio.timeout(120), Session(amqp_url, "crm.mini.inbox", name="test", prefetch=500) as session:
        while len(taken) < count:
            batch = await session.batch(500)
            taken += batch
            await session.ack(batch[-1].tag)
    return taken


def versions(deliveries: list[Delivery]) -> dict[str, list[int]]:
    """Versions by record, in the order of their first delivery."""
    found: dict[str, list[int]] = defaultdict(list)
    for delivery in deliveries:
        envelope = orjson.loads(delivery.body)
        if envelope["entityversion"] not in found[envelope["subject"]]:
            found[envelope["subject"]].append(envelope["entityversion"])
    return found


async def test_a_message_repeats_its_envelope_in_headers(runtime: Runtime, publisher: Publisher, amqp_url: str) -> None:
    [thing] = await make_things(runtime, 1)
    assert await Relay("mini", runtime.db, publisher).drain() == 1
    [delivery] = await receive(amqp_url, 1)
    [(body, event_id, seq)] = await rows(runtime, "select body, id, seq from outbox where state = 'published'")
    assert delivery.body == body
    assert delivery.message_id == str(event_id)
    assert delivery.headers == {
        "id": str(event_id),
        "type": "crm.mini.thing.created.v1",
        "source": "/crm/mini",
        "subject": str(thing),
        "crm-version": 1,
        "crm-seq": seq,
    }
    assert delivery.routing_key == delivery.type == "crm.mini.thing.created.v1"


async def test_sixteen_writers_and_three_relays_keep_each_records_order(runtime: Runtime, amqp_url: str) -> None:
    things = await make_things(runtime, 5)
    publishers = [Publisher(amqp_url, name=f"relay {n}") for n in range(3)]
    relays = [Relay("mini", runtime.db, publisher, runtime.notifier) for publisher in publishers]
    running = [asyncio.create_task(relay.run()) for relay in relays]

    turns = asyncio.Semaphore(2)  # the pool has five connections, and the relays hold three

    async def write(writer: int) -> None:
        for n in range(10):
            async with turns:
                await rename(runtime, things[(writer + n) % 5], f"by {writer}")

    await asyncio.gather(*(write(writer) for writer in range(16)))
    deliveries = await receive(amqp_url, 165)
    for relay in relays:
        relay.stop()
    await asyncio.gather(*running)
    for publisher in publishers:
        await publisher.close()
    assert versions(deliveries) == {str(thing): list(range(1, 34)) for thing in things}
    inversions = (
        "select count(*) from outbox a join outbox b using (entity_id)"
        " where a.seq < b.seq and a.entity_version > b.entity_version"
    )
    assert await rows(runtime, inversions) == [(0,)]


async def test_events_whose_numbers_were_given_twice_get_new_ones_and_go_out_in_order(
    runtime: Runtime, publisher: Publisher, amqp_url: str
) -> None:
    """What a crash does to a copied database: its sequence goes back to where the copy began."""
    first, second = await make_things(runtime, 2)
    relay = Relay("mini", runtime.db, publisher, runtime.notifier)
    for name in ("a", "b", "c"):
        await rename(runtime, first, name)
    assert await relay.drain() == 5
    await rows(runtime, "select setval(pg_get_serial_sequence('outbox', 'seq'), (select min(seq) from outbox))")
    for name in ("d", "e"):
        await rename(runtime, first, name)
        await rename(runtime, second, name)
    running = asyncio.create_task(relay.run())

    async def all_are_out() -> bool:
        return await rows(runtime, PENDING) == [(0,)]

    await until(all_are_out)
    relay.stop()
    await running
    numbers = "select count(*), count(distinct seq) from outbox"
    assert await rows(runtime, numbers) == [(9, 9)]
    inversions = (
        "select count(*) from outbox a join outbox b using (entity_id)"
        " where a.seq < b.seq and a.entity_version > b.entity_version"
    )
    assert await rows(runtime, inversions) == [(0,)]
    # What was sent before its mark was refused comes once more, as after any crash.
    deliveries = await receive(amqp_url, 13)
    assert versions(deliveries) == {str(first): [1, 2, 3, 4, 5, 6], str(second): [1, 2, 3]}


async def test_a_broker_that_is_away_costs_no_attempt(runtime: Runtime, amqp_url: str) -> None:
    await make_things(runtime, 3)
    nowhere = urlunsplit(urlsplit(amqp_url)._replace(netloc="guest:guest@127.0.0.1:1"))
    with pytest.raises(BrokerDown):
        await Relay("mini", runtime.db, Publisher(nowhere, name="nowhere")).drain()
    assert await rows(runtime, "select distinct state, attempts, next_attempt_at from outbox") == [("pending", 0, None)]


async def test_a_returned_event_holds_back_its_record_and_nothing_else(
    runtime: Runtime, publisher: Publisher, amqp_url: str, servers: Servers
) -> None:
    """Without the log queue, an event that nobody is bound for is unroutable."""
    async with topology.Management(str(servers.amqp_management_url)) as management:
        vhost = quote(topology.vhost_of(amqp_url), safe="")
        await management.delete(f"queues/{vhost}/crm.log")
    stuck, free = new_id(), new_id()
    while shard_of(free) != shard_of(stuck):
        free = new_id()
    for entity, version, type_ in (
        (stuck, 1, "crm.mini.nobody.created.v1"),
        (stuck, 2, "crm.mini.thing.updated.v1"),
        (free, 1, "crm.mini.thing.created.v1"),
    ):
        await insert(runtime, entity, version, type_)
    relay = Relay("mini", runtime.db, publisher)
    assert await relay.drain() == 3
    state = "select entity_version, state, attempts, last_error from outbox where entity_id = $1 order by seq"
    assert await rows(runtime, state, stuck) == [(1, "pending", 1, "returned"), (2, "pending", 0, None)]
    assert await rows(runtime, state, free) == [(1, "published", 0, None)]
    assert await relay.drain() == 0


async def test_an_event_that_the_broker_does_not_take_holds_back_its_record_and_nothing_else(
    runtime: Runtime, rogue: str
) -> None:
    """The broker closes the channel over it, and with that takes the confirms of all that was sent with it."""
    stuck = new_id()
    await insert(runtime, stuck, 1, "crm.mini.thing.created.v1")  # not this user's to publish
    free = [new_id() for _ in range(60)]
    for entity in free:
        await insert(runtime, entity, 1, "crm.rogue.thing.created.v1")
    publisher = Publisher(rogue, name="relay")
    relay = Relay("rogue", runtime.db, publisher)
    running = asyncio.create_task(relay.run())

    async def done() -> bool:
        return await rows(runtime, "select count(*) from outbox where state = 'published'") == [(60,)]

    await until(done, seconds=120)
    relay.stop()
    await running
    await publisher.close()
    [(state, attempts, error)] = await rows(
        runtime, "select state, attempts, last_error from outbox where entity_id = $1", stuck
    )
    assert (state, error) == ("pending", "refused")
    assert attempts >= 1


class Labouring(Publisher):
    """A real one, beside a broker that confirms no more than so many messages in time."""

    def __init__(self, url: str, most: int) -> None:
        super().__init__(url, name="labouring")
        self.most = most
        self.pieces: list[int] = []

    async def publish(self, exchange: str, messages: Sequence[Outgoing], *, seconds: float = 5.0) -> list[Outcome]:
        self.pieces.append(len(messages))
        outcomes = await super().publish(exchange, messages, seconds=seconds)
        return outcomes if len(messages) <= self.most else [Outcome.UNKNOWN] * len(messages)


async def test_a_slow_broker_gets_smaller_pieces_until_it_keeps_up(runtime: Runtime, amqp_url: str) -> None:
    things = await make_things(runtime, 300)
    publisher = Labouring(amqp_url, most=8)
    relay = Relay("mini", runtime.db, publisher)
    with structlog.testing.capture_logs() as logged:
        while await rows(runtime, PENDING) != [(0,)]:
            with suppress(BrokerDown):
                await relay.drain()
    assert publisher.pieces[0] > 100
    assert next(number for number, size in enumerate(publisher.pieces) if size <= publisher.most) <= 3
    # From then on it now and then asks whether the broker can do more.
    assert sum(size for size in publisher.pieces if size <= publisher.most) == 300
    assert "relay.slow" in {line["event"] for line in logged}
    publisher.most = 1000
    for thing in things:
        await rename(runtime, thing, "renamed")
    while await relay.drain():
        pass
    assert max(publisher.pieces[-4:]) > 8
    await publisher.close()


async def insert(runtime: Runtime, entity: UUID, version: int, type_: str, body: bytes = b"{}") -> None:
    """An outbox row as the unit of work writes it."""
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, created_at)"
            " values ($1, $2, 'thing', $3, $4, $5, $6, $7)",
            (new_id(), shard_of(entity), entity, version, type_, body, clock.now()),
        )


async def test_killed_between_publish_and_mark_it_publishes_again_and_nothing_happens_twice(
    runtime: Runtime, worker: WorkerProcess
) -> None:
    things = await make_things(runtime, 20)
    for thing in things:
        await rename(runtime, thing, "renamed")
    process = await worker.start(failpoint="relay.after_publish:3")
    assert await asyncio.wait_for(process.wait(), 120) == 137
    assert await rows(runtime, PENDING) != [(0,)]
    await worker.start()

    async def done() -> bool:
        handled = await rows(runtime, "select count(*) from inbox where consumer = 'mini.echoes' and state = 'done'")
        return handled == [(40,)] and await rows(runtime, PENDING) == [(0,)]

    await until(done, seconds=120)
    assert await rows(runtime, "select count(*), count(distinct thing_id) from echo") == [(20, 20)]
    orders: Any = await rows(runtime, "select array_agg(version order by position) from seen group by thing_id")
    assert orders == [([1, 2],)] * 20
    assert await worker.stop() == 0


def test_every_shard_is_used_and_stable() -> None:
    assert {shard_of(new_id()) for _ in range(1000)} == set(range(SHARDS))
    assert shard_of(UUID("01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f")) == 15
