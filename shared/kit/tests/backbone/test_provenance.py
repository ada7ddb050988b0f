"""A message takes effect only when the broker vouches for the service that it says it is from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import aiormq
import orjson
import pytest
from aiormq import spec
from aiormq.exceptions import AMQPError, ChannelAccessRefused

from crm_kit.broker.connecting import user_in
from crm_kit.broker.names import DIRECT, EVENTS, SNAPSHOT_REQUEST, direct_key, inbox_of, replay_of
from crm_kit.broker.publishing import Publisher
from crm_kit.events import deferred, inbox
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import REFUSED, Intake
from crm_kit.events.received import Message
from crm_kit.operating import decisions
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id

from .conftest import Story, rows, send, until
from .test_intake import give_up, running
from .test_relay import make_things
from .test_replay import snapshots_of

PARKED = "select consumer, source, entity, last_error from inbox where state = 'parked'"


def to_mini(type_: str) -> str:
    return direct_key(inbox_of("mini"), type_)


def headers_of(message: Message, **others: Any) -> dict[str, Any]:
    envelope = message.envelope
    told = {"id": str(envelope.id), "type": envelope.type, "source": envelope.source, "subject": str(envelope.subject)}
    return {**told, "crm-version": envelope.entityversion, **others}


@asynccontextmanager
async def channel_of(url: str) -> AsyncIterator[Any]:
    connection = await aiormq.connect(url)
    try:
        yield await connection.channel()
    finally:
        with suppress(AMQPError):
            await connection.close()


async def publish(
    url: str, exchange: str, key: str, body: bytes, headers: dict[str, Any], type_: str = "", **others: Any
) -> None:
    """As a client of one's own does; raises what the broker refuses."""
    async with channel_of(url) as channel:
        properties = spec.Basic.Properties(headers=headers, message_type=type_, message_id=str(new_id()), **others)
        await channel.basic_publish(body, exchange=exchange, routing_key=key, mandatory=True, properties=properties)


def refused() -> float:
    return REFUSED.labels().value


async def settled(runtime: Runtime, parked: int) -> None:
    async def enough() -> bool:
        return len(await rows(runtime, PARKED)) == parked

    await until(enough)


@pytest.mark.parametrize("fact", ["created", "snapshot.v1"])
async def test_what_another_service_sends_in_its_name_is_kept_refused_and_never_applied(
    rogue: str, intake: Intake, runtime: Runtime, amqp_url: str, story: Story, fact: str
) -> None:
    before = refused()
    forged = story.tell(fact)
    headers = headers_of(forged)
    await publish(rogue, replay_of("rogue"), to_mini(forged.envelope.type), forged.body, headers)
    # Copied to a key that is not the sender's own: the broker checks the first key only.
    copied = {**headers, "CC": [forged.envelope.type]}
    await publish(rogue, EVENTS, "crm.rogue.thing.created.v1", forged.body + b" ", copied)
    # What cannot be read is parked by its headers, and would hold up the record that they name.
    await publish(rogue, replay_of("rogue"), to_mini(forged.envelope.type), b"{", headers)
    # Said to have been among the dead letters, where nobody looks at a body.
    dead = [{"queue": inbox_of("mini"), "exchange": EVENTS, "routing-keys": [forged.envelope.type], "count": 1}]
    await publish(
        rogue, replay_of("rogue"), to_mini("crm.mini.thing.x"), forged.body + b"  ", {**headers, "x-death": dead}
    )
    async with running(intake):
        await settled(runtime, 4)
        assert refused() - before == 4
        for _, source, entity, error in await rows(runtime, PARKED):
            assert (source, entity) == ("", None)
            assert error.startswith("refused: ")
        async with runtime.db.begin() as conn:
            assert await decisions.retry(conn) == 0
        await send_true(amqp_url, story)
        await until(lambda: _echoed(runtime))
    assert await rows(runtime, "select id, version from thing_copy") == [(story.id, 1)]


async def send_true(amqp_url: str, story: Story) -> None:
    story.version = 0
    publisher = Publisher(amqp_url, name="test")
    await send(publisher, story.tell("created"))
    await publisher.close()


async def _echoed(runtime: Runtime) -> bool:
    return await rows(runtime, "select count(*) from seen") == [(1,)]


async def test_a_dead_letter_is_judged_by_the_way_it_came(
    rogue: str, intake: Intake, runtime: Runtime, amqp_url: str, story: Story
) -> None:
    forged = story.tell("created")
    await publish(rogue, replay_of("rogue"), to_mini(forged.envelope.type), forged.body, headers_of(forged))
    await give_up(amqp_url, 1)
    async with running(intake):
        await settled(runtime, 1)
    [(consumer, source, entity, error)] = await rows(runtime, PARKED)
    assert (consumer, source, entity) == (inbox_of("mini"), "", None)
    assert error == "refused: rogue sent it, but it says that it is another service's"


@pytest.mark.parametrize("reason", ["expired", "rejected"])
@pytest.mark.parametrize("vouched", [False, True], ids=["nobody's", "its own"])
async def test_a_death_that_its_sender_wrote_proves_nothing(
    rogue: str, intake: Intake, runtime: Runtime, amqp_url: str, story: Story, reason: str, vouched: bool
) -> None:
    """The broker adds to an entry that is there already, and keeps the way that the sender wrote into it."""
    forged = story.tell("created")
    way = {"queue": inbox_of("mini"), "reason": reason, "exchange": EVENTS, "routing-keys": [forged.envelope.type]}
    headers = headers_of(forged, CC=[forged.envelope.type], **{"x-death": [{**way, "count": 0}]})
    others = {"expiration": "1"} if reason == "expired" else {}
    if vouched:
        others["user_id"] = user_in(rogue)
    await publish(rogue, EVENTS, "crm.rogue.thing.created.v1", forged.body, headers, **others)
    if reason == "rejected":
        await give_up(amqp_url, 1)
    async with running(intake):
        await settled(runtime, 1)
        await send_true(amqp_url, story)
        await until(lambda: _echoed(runtime))
    [(consumer, source, entity, error)] = await rows(runtime, PARKED)
    assert (consumer, source, entity) == (inbox_of("mini"), "", None)
    assert error.startswith("refused: a dead letter")


async def test_nobody_publishes_as_another_user(rogue: str, amqp_url: str) -> None:
    async with channel_of(rogue) as channel:
        properties = spec.Basic.Properties(user_id=user_in(amqp_url))
        with pytest.raises(AMQPError, match="PRECONDITION_FAILED"):
            await channel.basic_publish(
                b"{}", exchange=EVENTS, routing_key="crm.rogue.thing.created.v1", properties=properties
            )


async def test_a_stored_body_that_says_another_source_than_its_headers_is_not_tried(
    intake: Intake, runtime: Runtime, dispatcher: Dispatcher, story: Story
) -> None:
    message = story.tell("created")
    key = inbox.EventKey("mini.copies", "/crm/rogue", message.envelope.id)
    failure = deferred.Failure(key, story.id, 1, message.envelope.type, message.body, "pending", 0, None, "")
    async with runtime.db.begin() as conn:
        await deferred.store(conn, [replace(failure, next_attempt_at=message.envelope.time)])
    assert await intake.retries.retry_due() == 1
    [(_, _, _, error)] = await rows(runtime, PARKED)
    assert error == "refused: its body says that it is another service's than its headers say"


async def test_a_service_asks_for_its_own_inbox_alone(
    rogue: str, runtime: Runtime, dispatcher: Dispatcher, amqp_url: str
) -> None:
    snapshots = snapshots_of(runtime, amqp_url)
    intake = Intake(dispatcher, amqp_url, control={SNAPSHOT_REQUEST: snapshots.accept})
    for exchange, queue in (
        (replay_of("rogue"), "crm.mini.inbox"),
        (replay_of("rogue"), "ext.billing.events"),
        (replay_of("rogue"), "crm.rogue.inbox"),
    ):
        body = orjson.dumps({"entities": ["thing"], "queue": queue})
        await publish(rogue, exchange, to_mini(SNAPSHOT_REQUEST), body, {}, SNAPSHOT_REQUEST)
    body = orjson.dumps({"entities": ["thing"], "queue": "crm.rogue.inbox", "by": "way of events"})
    await publish(rogue, EVENTS, "crm.rogue.a.b.v1", body, {"CC": ["crm.mini.thing.x"]}, SNAPSHOT_REQUEST)
    async with running(intake):
        await settled(runtime, 3)
    assert await rows(runtime, "select queue, requested_by from snapshot_request") == [("crm.rogue.inbox", "rogue")]


async def test_a_service_gets_no_records_but_those_that_its_queue_is_bound_to(
    rogue: str, runtime: Runtime, dispatcher: Dispatcher, amqp_url: str
) -> None:
    """Whatever it asks for: its user cannot bind."""
    await make_things(runtime, 1)
    snapshots = snapshots_of(runtime, amqp_url)
    intake = Intake(dispatcher, amqp_url, control={SNAPSHOT_REQUEST: snapshots.accept})
    body = orjson.dumps({"entities": ["thing"], "queue": inbox_of("rogue")})
    await publish(rogue, replay_of("rogue"), to_mini(SNAPSHOT_REQUEST), body, {}, SNAPSHOT_REQUEST)

    async def asked() -> bool:
        return await rows(runtime, "select count(*) from snapshot_request") == [(1,)]

    async with running(intake):
        await until(asked)
    assert await snapshots.serve_one()
    assert await rows(runtime, "select sent, error from snapshot_request") == [
        (0, "queue crm.rogue.inbox is not there, or does not hear thing")
    ]


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        (DIRECT, "crm.mini.inbox.crm.mini.thing.created.v1"),
        ("", "crm.mini.inbox"),
        ("crm.dlx", "mini"),
        (replay_of("mini"), "crm.mini.inbox.crm.mini.thing.created.v1"),
        (EVENTS, "crm.mini.thing.created.v1"),
    ],
)
async def test_a_service_publishes_nowhere_but_under_its_own_name(rogue: str, exchange: str, key: str) -> None:
    async with channel_of(rogue) as channel:
        with pytest.raises(ChannelAccessRefused):
            await channel.basic_publish(b"{}", exchange=exchange, routing_key=key, mandatory=True)


@pytest.mark.parametrize(
    "act",
    [
        lambda channel: channel.exchange_bind(EVENTS, replay_of("mini")),
        lambda channel: channel.exchange_bind(DIRECT, replay_of("rogue")),
        lambda channel: channel.queue_bind("crm.rogue.inbox", EVENTS, "#"),
        lambda channel: channel.queue_declare("crm.rogue.more", durable=True),
        lambda channel: channel.basic_get("crm.mini.inbox"),
        lambda channel: channel.basic_get("crm.log"),
        lambda channel: channel.exchange_declare("crm.replay.forged"),
        lambda channel: channel.queue_delete("crm.mini.inbox"),
        lambda channel: channel.queue_purge("crm.mini.inbox"),
    ],
)
async def test_a_service_neither_declares_nor_binds_nor_reads_what_is_not_its_own(rogue: str, act: Any) -> None:
    async with channel_of(rogue) as channel:
        with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
            await act(channel)
