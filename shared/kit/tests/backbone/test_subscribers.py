"""Another system at the broker reads what it was given, and can do nothing else: asked of a real one, as that system."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import aiormq
import orjson
import pytest
from aiormq.exceptions import AMQPError, ChannelAccessRefused

from crm_kit import clock
from crm_kit.broker.management import (
    Management,
    TopologyError,
    user_of,
    vhost_of,
)
from crm_kit.broker.names import DIRECT, EVENTS, inbox_of, replay_of
from crm_kit.broker.publishing import Publisher
from crm_kit.events.relay import Relay
from crm_kit.operating import sending, subscribers, topology
from crm_kit.operating.events_to_queue import Broker
from crm_kit.operating.subscribers import (
    MOST_QUEUES,
    Subscription,
    subscribe,
    unsubscribe,
)
from crm_kit.process.runtime import Runtime
from crm_local.servers import Servers

from .conftest import Story, rows, send, until
from .miniature import consumers
from .test_provenance import channel_of
from .test_relay import make_things, rename
from .test_replay import snapshots_of

RENAMED, EVERYTHING = "crm.mini.thing.renamed.#", "crm.#"


@pytest.fixture
def broker(amqp_url: str, servers: Servers) -> Broker:
    return Broker(amqp_url, str(servers.amqp_management_url))


@pytest.fixture
async def billing(broker: Broker) -> AsyncIterator[Subscription]:
    """A subscriber that was given renames."""
    yield await subscribe("billing", [RENAMED], broker.amqp_url, broker.management_url)
    await unsubscribe("billing", broker.amqp_url, broker.management_url)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    connection = await aiormq.connect(url)
    try:
        yield connection
    finally:
        with suppress(AMQPError):
            await connection.close()


async def types_in(url: str, queue: str) -> list[str]:
    """What a queue holds, read to its end."""
    found: list[str] = []
    async with channel_of(url) as channel:
        while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag:
            found.append(orjson.loads(message.body)["type"].split(".")[3])
    return found


FORBIDDEN = {
    "bind its queue to everything": lambda channel: channel.queue_bind("ext.billing.events", EVENTS, "#"),
    "unbind what it hears": lambda channel: channel.queue_unbind("ext.billing.events", EVENTS, RENAMED),
    "declare a queue": lambda channel: channel.queue_declare("ext.billing.more", durable=True),
    "declare a nameless queue": lambda channel: channel.queue_declare(""),
    "declare a stream": lambda channel: channel.queue_declare(
        "ext.billing.log", durable=True, arguments={"x-queue-type": "stream"}
    ),
    "declare an exchange": lambda channel: channel.exchange_declare("ext.billing.mine"),
    "bind an exchange": lambda channel: channel.exchange_bind(DIRECT, EVENTS),
    "delete its queue": lambda channel: channel.queue_delete("ext.billing.events"),
    "read the log": lambda channel: channel.basic_get("crm.log"),
    "consume the log": lambda channel: channel.basic_consume("crm.log", print),
    "read an inbox": lambda channel: channel.basic_get("crm.mini.inbox"),
    "read dead letters": lambda channel: channel.basic_get("crm.mini.parking"),
    "read another subscriber": lambda channel: channel.basic_get("ext.other.events"),
    "publish an event": lambda channel: channel.basic_publish(
        b"{}", exchange=EVENTS, routing_key="crm.mini.thing.x.v1"
    ),
    "publish a snapshot": lambda channel: channel.basic_publish(
        b"{}", exchange=replay_of("mini"), routing_key="crm.mini.inbox.crm.mini.thing.x"
    ),
    "ask for a snapshot": lambda channel: channel.basic_publish(
        b"{}", exchange=DIRECT, routing_key="crm.mini.inbox.crm.control.snapshot-request"
    ),
    "publish to its own queue": lambda channel: channel.basic_publish(b"{}", routing_key="ext.billing.events"),
}


@pytest.mark.parametrize("act", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_the_broker_refuses_what_a_subscriber_was_not_given(
    billing: Subscription, broker: Broker, act: Any
) -> None:
    await subscribe("other", [EVERYTHING], broker.amqp_url, broker.management_url)
    try:
        async with channel_of(billing.amqp_url) as channel:
            with pytest.raises(ChannelAccessRefused):
                await act(channel)
    finally:
        await unsubscribe("other", broker.amqp_url, broker.management_url)


async def test_it_hears_what_it_was_given_and_nothing_else(
    billing: Subscription, publisher: Publisher, story: Story
) -> None:
    await send(publisher, story.tell("created"), story.tell("renamed"), story.tell("deleted"))
    assert await types_in(billing.amqp_url, billing.queue) == ["renamed"]


async def test_a_subscription_of_an_earlier_release_is_narrowed(broker: Broker) -> None:
    """It could declare, bind and read the log."""
    user = quote(user_of("ext.old", broker.amqp_url), safe="")
    vhost = quote(vhost_of(broker.amqp_url), safe="")
    async with Management(broker.management_url) as management:
        await management.put(f"users/{user}", {"password": "old", "tags": ""})
        await management.put(f"permissions/{vhost}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
        await management.put(f"queues/{vhost}/ext.old.mine", {"durable": True, "arguments": {}})
        await management.post(f"bindings/{vhost}/e/{EVENTS}/q/ext.old.mine", {"routing_key": RENAMED})
        caps = topology.Caps(log_bytes=100_000_000)
        keys = {"mini": consumers.routing_keys()}
        report = await topology.apply(keys, broker.amqp_url, broker.management_url, caps=caps)
        rights = await management.get(f"permissions/{vhost}/{user}")
        bound = await management.get(f"queues/{vhost}/ext.old.mine/bindings")
    await unsubscribe("old", broker.amqp_url, broker.management_url)
    assert "rights of subscriber old" in report.declared
    assert (rights["configure"], rights["write"], rights["read"]) == ("^$", "^$", r"^ext\.old\.")
    bindings = {(binding["source"], binding["routing_key"]) for binding in bound if binding["source"]}
    assert bindings == {(EVENTS, RENAMED), (DIRECT, f"ext.old.mine.{RENAMED}")}


async def test_its_queues_are_few_of_one_kind_and_capped_by_the_operator(broker: Broker, billing: Subscription) -> None:
    for number in range(1, MOST_QUEUES):
        await subscribe("billing", [RENAMED], broker.amqp_url, broker.management_url, queue=f"more-{number}")
    with pytest.raises(TopologyError, match="may have 5"):
        await subscribe("billing", [RENAMED], broker.amqp_url, broker.management_url, queue="too-many")
    vhost = quote(vhost_of(broker.amqp_url), safe="")
    async with Management(broker.management_url) as management:
        # A policy of a higher priority, as an administrator of the vhost may set by mistake, does not lift the caps.
        loose = {"max-length-bytes": 10**12, "message-ttl": 10**10}
        policy = {"pattern": r"^ext\.", "definition": loose, "apply-to": "queues", "priority": 99}
        await management.put(f"policies/{vhost}/loose", policy)

        async def capped() -> bool:
            queue = await management.get(f"queues/{vhost}/{billing.queue}")
            found = queue.get("effective_policy_definition", {})
            return bool(
                found.get("max-length-bytes") == subscribers.CAPS["max-length-bytes"] and queue["policy"] == "loose"
            )

        await until(capped)
        queue = await management.get(f"queues/{vhost}/{billing.queue}")
        assert queue["type"] == "quorum"
        assert {key: queue["effective_policy_definition"][key] for key in subscribers.CAPS} == subscribers.CAPS


async def test_its_connections_and_channels_are_few(billing: Subscription) -> None:
    connections = []
    try:
        for _ in range(subscribers.LIMITS["max-connections"]):
            connections.append(await aiormq.connect(billing.amqp_url))
        with pytest.raises((AMQPError, OSError)):
            await aiormq.connect(billing.amqp_url)
    finally:
        for connection in connections:
            await connection.close()
    async with opened(billing.amqp_url) as connection:
        for _ in range(subscribers.LIMITS["max-channels"]):
            await connection.channel()
        with pytest.raises((AMQPError, OSError)):
            await connection.channel()


async def test_subscribing_again_keeps_password_and_messages_and_sets_what_is_heard(
    broker: Broker, billing: Subscription, publisher: Publisher, story: Story
) -> None:
    assert billing.is_password_new
    await send(publisher, story.tell("created"), story.tell("renamed"))
    again = await subscribe("billing", [], broker.amqp_url, broker.management_url)
    assert (again.patterns, again.is_password_new) == ((RENAMED,), False)
    wider = await subscribe("billing", ["crm.mini.thing.deleted.#"], broker.amqp_url, broker.management_url)
    assert wider.patterns == ("crm.mini.thing.deleted.#",)
    await send(publisher, story.tell("renamed"), story.tell("deleted"))
    assert await types_in(billing.amqp_url, billing.queue) == ["renamed", "deleted"]


async def test_a_new_password_ends_what_the_old_one_opened(broker: Broker, billing: Subscription) -> None:
    async with opened(billing.amqp_url) as connection:
        renewed = await subscribe("billing", [], broker.amqp_url, broker.management_url, rotate=True)
        assert renewed.amqp_url != billing.amqp_url

        async def ended() -> bool:
            return bool(connection.is_closed)

        await until(ended)
    with pytest.raises(AMQPError):
        await aiormq.connect(billing.amqp_url)
    async with opened(renewed.amqp_url):
        pass


async def test_unsubscribing_leaves_nothing(broker: Broker, billing: Subscription) -> None:
    await subscribe("billing", [RENAMED], broker.amqp_url, broker.management_url, queue="more")
    async with opened(billing.amqp_url) as connection:
        gone = await unsubscribe("billing", broker.amqp_url, broker.management_url)
        assert sorted(gone) == ["queue ext.billing.events", "queue ext.billing.more", f"user {billing.user}"]

        async def ended() -> bool:
            return bool(connection.is_closed)

        await until(ended)
    assert await unsubscribe("billing", broker.amqp_url, broker.management_url) == []


async def test_one_queue_goes_and_the_rest_stays(broker: Broker, billing: Subscription) -> None:
    at = (broker.amqp_url, broker.management_url)
    await subscribe("billing", [RENAMED], *at, queue="more")
    assert await unsubscribe("billing", *at, queue="more") == ["queue ext.billing.more"]
    with pytest.raises(TopologyError, match=r"there is no queue ext\.billing\.more; billing has ext\.billing\.events"):
        await unsubscribe("billing", *at, queue="more")
    assert await types_in(billing.amqp_url, billing.queue) == [], "its user and its other queue are as they were"


async def test_nothing_is_given_that_was_not_asked_for(broker: Broker) -> None:
    with pytest.raises(TopologyError, match="--bind"):
        await subscribe("vague", [], broker.amqp_url, broker.management_url)
    for name in ("Billing", "a.b", "", "x" * 41, "#"):
        with pytest.raises(TopologyError, match="lower-case"):
            await subscribe(name, [EVERYTHING], broker.amqp_url, broker.management_url)
        with pytest.raises(TopologyError, match="lower-case"):
            await subscribe("fine", [EVERYTHING], broker.amqp_url, broker.management_url, queue=name)


async def test_a_snapshot_goes_to_those_alone_that_hear_all_of_it(
    broker: Broker, billing: Subscription, runtime: Runtime, amqp_url: str
) -> None:
    await make_things(runtime, 2)
    snapshots, outcome = snapshots_of(runtime, amqp_url), "select sent, error from snapshot_request order by id desc"

    async def sent() -> tuple[Any, ...]:
        async with runtime.db.begin() as conn:
            await sending.snapshot(conn, ["thing"], billing.queue)
        assert await snapshots.serve_one()
        return (await rows(runtime, outcome))[0]

    assert await sent() == (0, f"queue {billing.queue} is not there, or does not hear thing")
    await subscribe("billing", ["crm.mini.thing.snapshot.#"], broker.amqp_url, broker.management_url)
    assert await sent() == (2, None)
    assert await types_in(billing.amqp_url, billing.queue) == ["snapshot", "snapshot"]


async def test_a_replay_gives_what_the_queue_hears_with_the_ids_it_had(
    broker: Broker, billing: Subscription, runtime: Runtime, publisher: Publisher
) -> None:
    began = clock.now()
    things = await make_things(runtime, 2)
    for thing in things:
        await rename(runtime, thing, "renamed")
    relay = Relay("mini", runtime.db, publisher)
    while await relay.drain():
        pass
    assert await types_in(billing.amqp_url, billing.queue) == ["renamed", "renamed"]
    assert len(await types_in(broker.amqp_url, inbox_of("mini"))) == 4
    for since, count in ((began, 2), (clock.now() + timedelta(seconds=1), 0)):
        async with runtime.db.autocommit() as conn:
            sent = await sending.send_again(
                conn,
                publisher,
                "mini",
                billing.queue,
                await broker.patterns_of(billing.queue),
                since=since,
                until=clock.now() + timedelta(days=1),
            )
        assert sent == count
    assert await types_in(billing.amqp_url, billing.queue) == ["renamed", "renamed"]
    assert await types_in(broker.amqp_url, inbox_of("mini")) == []
