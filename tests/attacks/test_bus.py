"""The broker from the view of a compromised service or a hostile subscriber: users, queues and rights of the suite."""

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import aiormq
import pytest
from aiormq.exceptions import AMQPError, ChannelAccessRefused

from crm_kit.broker.consuming import Session
from crm_kit.broker.management import Management, user_of, vhost_of
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import DIRECT, EVENTS, SNAPSHOT_REQUEST, direct_key, inbox_of, replay_of
from crm_kit.broker.publishing import Publisher
from crm_kit.events import provenance
from crm_kit.operating import subscribers, topology
from crm_kit.operating.subscribers import At
from crm_local import entrypoints
from crm_local.servers import Servers
from crm_local.suite import SERVICES

NAMES = [service.name for service in SERVICES]
FORGED = ("crm.identity.business_unit.snapshot.v1", "crm.identity.access_change.created.v1")
EVENTS_SENT, QUEUES_TRIED = 200, 200


@dataclass(frozen=True)
class Bus:
    """A vhost with all declarations of the suite."""

    amqp_url: str
    management_url: str

    def as_service(self, name: str) -> str:
        parts = urlsplit(self.amqp_url)
        user = quote(user_of(name, self.amqp_url), safe="")
        return urlunsplit(parts._replace(netloc=f"{user}:{name}@{parts.hostname}:{parts.port}"))


@pytest.fixture(scope="module")
async def bus(servers: Servers) -> AsyncIterator[Bus]:
    amqp_url = urlunsplit(urlsplit(servers.amqp_url)._replace(path=f"/attacked-{secrets.token_hex(4)}"))
    bus = Bus(amqp_url, str(servers.amqp_management_url))
    keys = {service.name: entrypoints.routing_keys(service) for service in SERVICES}
    caps = topology.Caps(log_bytes=100_000_000)
    await topology.apply(keys, amqp_url, bus.management_url, password_of=lambda name: name, caps=caps)
    yield bus
    async with Management(bus.management_url) as management:
        for name in NAMES:
            await management.delete(f"users/{quote(user_of(name, amqp_url), safe='')}", missing_ok=True)
        await management.delete(f"vhosts/{quote(vhost_of(amqp_url), safe='')}")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "identity"])
async def test_no_service_speaks_for_identity(bus: Bus, name: str) -> None:
    """A service can use none of the exchanges to reach any queue as identity. What arrives names its sender."""
    headers = {"source": "/crm/identity"}
    exchanges = ["", EVENTS, DIRECT, *(replay_of(other) for other in NAMES if other != name)]
    publisher = Publisher(bus.as_service(name), name="hostile")
    for exchange in exchanges:
        for key in FORGED if exchange == EVENTS else (direct_key(inbox_of("gateway"), FORGED[0]), inbox_of("gateway")):
            message = outgoing(b"{}", key, message_id="1", headers={**headers, "type": FORGED[1]})
            assert await publisher.publish(exchange, [message]) == [Outcome.REFUSED], (exchange, key)
    own = [
        outgoing(b"{}", direct_key(inbox_of("gateway"), type_), message_id=type_, headers={**headers, "type": type_})
        for type_ in FORGED
    ]
    copied = {**headers, "type": FORGED[1], "CC": [FORGED[1]]}
    await publisher.publish(replay_of(name), own)
    await publisher.publish(EVENTS, [outgoing(b"{}", f"crm.{name}.x.y.v1", message_id="cc", headers=copied)])
    await publisher.close()
    async with Session(bus.amqp_url, inbox_of("gateway"), name="looking", prefetch=50) as session:
        while True:
            arrived = await session.batch(50)
            for delivery in arrived:
                with pytest.raises(provenance.Refused):
                    provenance.check(delivery, type_=str(delivery.headers["type"]), source="/crm/identity")
            await session.ack(arrived[-1].tag)
            if any(delivery.message_id == "cc" for delivery in arrived):
                break


async def test_a_service_asks_nobody_for_records_to_another_place(bus: Bus) -> None:
    publisher = Publisher(bus.as_service("insights"), name="hostile")
    key = direct_key(inbox_of("identity"), SNAPSHOT_REQUEST)
    request = outgoing(b"{}", key, message_id="1", headers={"type": SNAPSHOT_REQUEST})
    assert await publisher.publish(replay_of("insights"), [request]) == [Outcome.CONFIRMED]
    await publisher.close()
    async with Session(bus.amqp_url, inbox_of("identity"), name="looking", prefetch=1) as session:
        while (delivery := (await session.batch(1))[0]).headers.get("type") != SNAPSHOT_REQUEST:
            await session.ack(delivery.tag)  # Copied here by the other tests of this file.
        assert provenance.asker_of(delivery) == "insights"
        await session.ack(delivery.tag)


async def test_a_hostile_subscriber_holds_no_producer_up(bus: Bus) -> None:
    """A hostile subscriber declares and binds what it can.

    All events of sales are confirmed meanwhile, and it has one queue.
    """
    made = await subscribers.add("hostile", ["crm.sales.opportunity.won.#"], At(bus.amqp_url, bus.management_url))
    refused = 0
    connection = await aiormq.connect(made.amqp_url)
    publisher = Publisher(bus.as_service("sales"), name="relay")
    sent = [
        outgoing(b"{}", "crm.sales.lead.created.v1", message_id=str(number), headers={})
        for number in range(EVENTS_SENT)
    ]
    try:
        for number in range(QUEUES_TRIED):
            channel = await connection.channel()
            with pytest.raises(ChannelAccessRefused):
                await channel.queue_declare(
                    f"ext.hostile.{number}", durable=True, arguments={"x-queue-type": ("stream", "quorum")[number % 2]}
                )
            refused += 1
        assert set(await publisher.publish(EVENTS, sent, seconds=60)) == {Outcome.CONFIRMED}
    finally:
        await publisher.close()
        with suppress(AMQPError):
            await connection.close()
    assert refused == QUEUES_TRIED
    async with Management(bus.management_url) as management:
        queues = await management.get(f"queues/{quote(vhost_of(bus.amqp_url), safe='')}?columns=name,messages")
    assert [queue["name"] for queue in queues if queue["name"].startswith("ext.")] == [made.queue]
    assert await subscribers.remove("hostile", At(bus.amqp_url, bus.management_url))
