"""Another system at the broker reads what it was given, and can do nothing else: asked of a real one, as that system."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import aiormq
import orjson
import pytest
from aiormq.exceptions import AMQPError, ChannelAccessRefused
from hypothesis import given
from hypothesis import strategies as st

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
from crm_kit.operating import sending, subscribers, subscriptions, topology
from crm_kit.operating.events_to_queue import Broker
from crm_kit.operating.patterns import covers, matches, permitted
from crm_kit.operating.subscribers import MOST_QUEUES, At, Subscription, add, listed, narrow, remove, rotate
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


def at(broker: Broker) -> At:
    return At(broker.amqp_url, broker.management_url)


@pytest.fixture
async def billing(broker: Broker) -> AsyncIterator[Subscription]:
    """A subscriber that was given renames."""
    yield await add("billing", [RENAMED], at(broker))
    await remove("billing", at(broker))


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
    await add("other", [EVERYTHING], at(broker))
    try:
        async with channel_of(billing.amqp_url) as channel:
            with pytest.raises(ChannelAccessRefused):
                await act(channel)
    finally:
        await remove("other", at(broker))


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
    await remove("old", at(broker))
    assert "rights of subscriber old" in report.declared
    assert (rights["configure"], rights["write"], rights["read"]) == ("^$", "^$", r"^ext\.old\.")
    bindings = {(binding["source"], binding["routing_key"]) for binding in bound if binding["source"]}
    assert bindings == {(EVENTS, RENAMED), (DIRECT, f"ext.old.mine.{RENAMED}")}


async def test_what_a_backup_keeps_of_a_subscriber_is_given_again(broker: Broker, billing: Subscription) -> None:
    await add("billing", [], at(broker), log=True)
    kept = await subscriptions.read(broker.amqp_url, broker.management_url)
    await remove("billing", at(broker))
    await subscriptions.make_users(kept, broker.amqp_url, broker.management_url)
    await subscriptions.make_queues(kept, broker.amqp_url)
    user, vhost = quote(billing.user, safe=""), quote(vhost_of(broker.amqp_url), safe="")
    async with Management(broker.management_url) as management:
        await subscribers.bind_all(management, broker.amqp_url)
        topics = await management.get(f"topic-permissions/{vhost}/{user}")
    [found] = [one for one in await listed(at(broker)) if one.subscriber == "billing"]
    assert (found.patterns, found.reads_log) == ((RENAMED,), True)
    assert {one["exchange"]: one["read"] for one in topics} == {
        EVENTS: permitted([RENAMED]),
        DIRECT: permitted([f"{billing.queue}.{RENAMED}"]),
    }
    async with opened(billing.amqp_url):
        pass


async def test_its_queues_are_few_of_one_kind_and_capped_by_the_operator(broker: Broker, billing: Subscription) -> None:
    for number in range(1, MOST_QUEUES):
        await add("billing", [RENAMED], at(broker), queue=f"more-{number}")
    with pytest.raises(TopologyError, match="may have 5"):
        await add("billing", [RENAMED], at(broker), queue="too-many")
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


async def test_adding_again_keeps_password_messages_and_patterns_and_narrowing_takes_patterns_away(
    broker: Broker, billing: Subscription, publisher: Publisher, story: Story
) -> None:
    assert billing.is_password_new
    await send(publisher, story.tell("created"), story.tell("renamed"))
    again = await add("billing", [], at(broker))
    assert (again.patterns, again.is_password_new) == ((RENAMED,), False)
    wider = await add("billing", ["crm.mini.thing.deleted.#"], at(broker))
    assert wider.patterns == ("crm.mini.thing.deleted.#", RENAMED)
    with pytest.raises(TopologyError, match=r"'crm\.mini\.#' is wider .* nothing was changed"):
        await narrow("billing", at(broker), patterns=["crm.mini.thing.deleted.v1", "crm.mini.#"])
    narrowed = await narrow("billing", at(broker), patterns=["crm.mini.thing.deleted.v1"])
    assert narrowed.patterns == ("crm.mini.thing.deleted.v1",)
    await send(publisher, story.tell("renamed"), story.tell("deleted"))
    assert await types_in(billing.amqp_url, billing.queue) == ["renamed", "deleted"]


async def test_a_new_password_ends_what_the_old_one_opened(broker: Broker, billing: Subscription) -> None:
    async with opened(billing.amqp_url) as connection:
        renewed = await rotate("billing", at(broker))
        assert renewed != billing.amqp_url

        async def ended() -> bool:
            return bool(connection.is_closed)

        await until(ended)
    with pytest.raises(AMQPError):
        await aiormq.connect(billing.amqp_url)
    async with opened(renewed):
        pass
    with pytest.raises(TopologyError, match="there is no subscriber nobody; there are billing"):
        await rotate("nobody", at(broker))


async def test_who_may_bind_by_mistake_still_binds_nothing_wider_than_was_given(
    broker: Broker, billing: Subscription
) -> None:
    """An administrator gives the user all rights; its topic permissions stay."""
    user, vhost = quote(billing.user, safe=""), quote(vhost_of(broker.amqp_url), safe="")
    async with Management(broker.management_url) as management:
        wide = {"configure": ".*", "write": ".*", "read": ".*"}
        await management.put(f"permissions/{vhost}/{user}", wide)
    for key in ("#", "crm.#", "crm.mini.thing.*.v1", "crm.mini.thing.deleted.v1", "crm.mini.thing.#"):
        async with channel_of(billing.amqp_url) as channel:
            with pytest.raises(ChannelAccessRefused):
                await channel.queue_bind(billing.queue, EVENTS, key)
        async with channel_of(billing.amqp_url) as channel:
            with pytest.raises(ChannelAccessRefused):
                await channel.queue_bind(billing.queue, DIRECT, f"{billing.queue}.{key}")
    async with channel_of(billing.amqp_url) as channel:
        with pytest.raises(ChannelAccessRefused):
            await channel.queue_bind(billing.queue, DIRECT, f"ext.other.events.{RENAMED}")
    async with channel_of(billing.amqp_url) as channel:
        await channel.queue_bind(billing.queue, EVENTS, "crm.mini.thing.renamed.v1")


async def test_the_log_is_read_by_whom_it_was_given_and_until_it_is_taken_away(
    broker: Broker, billing: Subscription, publisher: Publisher, story: Story
) -> None:
    await send(publisher, story.tell("created"))
    reader = await add("billing", [], at(broker), log=True)
    assert reader.reads_log
    # What sets all rights anew keeps the grant.
    caps = topology.Caps(log_bytes=100_000_000)
    await topology.apply({"mini": consumers.routing_keys()}, broker.amqp_url, broker.management_url, caps=caps)
    assert [one.reads_log for one in await listed(at(broker)) if one.subscriber == "billing"] == [True]
    read: asyncio.Queue[Any] = asyncio.Queue()
    async with opened(billing.amqp_url) as connection:
        channel = await connection.channel()
        await channel.basic_qos(prefetch_count=10)
        await channel.basic_consume("crm.log", read.put, arguments={"x-stream-offset": "first"})
        async with asyncio.timeout(60):
            message = await read.get()
        assert orjson.loads(message.body)["type"].startswith("crm.mini.thing.")
        assert not (await narrow("billing", at(broker), close_log=True)).reads_log

        async def ended() -> bool:
            return bool(connection.is_closed)

        await until(ended)
    async with channel_of(billing.amqp_url) as channel:
        with pytest.raises(ChannelAccessRefused):
            await channel.basic_get("crm.log")


async def test_a_list_says_what_waits_for_whom(
    broker: Broker, billing: Subscription, publisher: Publisher, story: Story
) -> None:
    await send(publisher, story.tell("created"), story.tell("renamed"), story.tell("renamed"))
    [found] = [one for one in await listed(at(broker)) if one.subscriber == "billing"]
    assert (found.queue, found.patterns, found.waiting) == (billing.queue, (RENAMED,), 2)
    assert (found.consumers, found.reads_log) == (0, False)


@pytest.mark.parametrize(
    ("wide", "pattern", "is_covered"),
    [
        ("#", "crm.#", True),
        ("crm.sales.#", "crm.sales.lead.*.v1", True),
        ("crm.sales.#", "crm.sales", True),
        ("crm.sales.#", "crm.sales.#", True),
        ("crm.*.*.deleted.v1", "crm.sales.*.deleted.v1", True),
        ("#.deleted.v1", "crm.sales.#.deleted.v1", True),
        ("crm.#.#.v1", "crm.v1", True),
        ("crm.sales.#", "crm.#", False),
        ("crm.sales.#", "#", False),
        ("crm.sales.#", "crm.salesmen.x", False),
        ("crm.sales.lead.*", "crm.sales.lead.#", False),
        ("crm.sales.lead.won", "crm.sales.lead.*", False),
        ("crm.sales.*.v1", "crm.sales.lead.won.v1", False),
        ("crm.sales.lead.won", "crmXsalesXleadXwon", False),
    ],
)
def test_a_pattern_covers_what_is_narrower(wide: str, pattern: str, is_covered: bool) -> None:
    assert covers(wide, pattern) is is_covered
    assert (re.fullmatch(permitted([wide]), pattern) is not None) is is_covered


WORDS = st.sampled_from(["crm", "sales", "lead", "*", "#"])


@given(st.lists(WORDS, min_size=1, max_size=5), st.lists(WORDS, min_size=1, max_size=5), st.data())
def test_what_a_covered_pattern_matches_the_wide_one_matches(wide: list[str], narrow: list[str], data: Any) -> None:
    if not covers(".".join(wide), ".".join(narrow)):
        return
    words = st.lists(st.sampled_from(["crm", "sales", "lead", "x"]), max_size=3)
    key = [word for one in narrow for word in (data.draw(words) if one == "#" else ["y"] if one == "*" else [one])]
    assert not key or matches(".".join(wide), ".".join(key))


async def test_removing_leaves_nothing(broker: Broker, billing: Subscription) -> None:
    await add("billing", [RENAMED], at(broker), queue="more")
    async with opened(billing.amqp_url) as connection:
        gone = await remove("billing", at(broker))
        assert sorted(gone) == ["queue ext.billing.events", "queue ext.billing.more", f"user {billing.user}"]

        async def ended() -> bool:
            return bool(connection.is_closed)

        await until(ended)
    assert await remove("billing", at(broker)) == []


async def test_one_queue_goes_and_the_rest_stays(broker: Broker, billing: Subscription) -> None:
    await add("billing", [RENAMED], at(broker), queue="more")
    assert await remove("billing", at(broker), queue="more") == ["queue ext.billing.more"]
    with pytest.raises(TopologyError, match=r"there is no queue ext\.billing\.more; billing has ext\.billing\.events"):
        await remove("billing", at(broker), queue="more")
    assert await types_in(billing.amqp_url, billing.queue) == [], "its user and its other queue are as they were"


async def test_who_has_no_queue_is_listed_and_loses_the_stream(broker: Broker) -> None:
    await add("reader", [RENAMED], at(broker), log=True)
    await remove("reader", at(broker), queue="events")
    [found] = [one for one in await listed(at(broker)) if one.subscriber == "reader"]
    assert (found.queue, found.reads_log) == ("", True)
    assert not (await narrow("reader", at(broker), close_log=True)).reads_log
    with pytest.raises(TopologyError, match="there is no queue"):
        await narrow("reader", at(broker), patterns=[RENAMED])
    await remove("reader", at(broker))


async def test_a_password_that_nobody_saw_is_given_again(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(subscribers, "LIMITS", {"no-such-limit": 1})
        with pytest.raises(TopologyError):
            await add("hapless", [RENAMED], at(broker))
    assert (await add("hapless", [RENAMED], at(broker))).is_password_new
    await remove("hapless", at(broker))


async def test_nothing_is_given_that_was_not_asked_for(broker: Broker) -> None:
    with pytest.raises(TopologyError, match="--bind"):
        await add("vague", [], at(broker))
    for name in ("Billing", "a.b", "", "x" * 41, "#"):
        with pytest.raises(TopologyError, match="lower-case"):
            await add(name, [EVERYTHING], at(broker))
        with pytest.raises(TopologyError, match="lower-case"):
            await add("fine", [EVERYTHING], at(broker), queue=name)


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
    await add("billing", ["crm.mini.thing.snapshot.#"], at(broker))
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
