"""Messages that no producer of ours makes: each is set aside at once, and whatever comes before or after it takes effect."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import pytest
from sqlalchemy.exc import DBAPIError, StatementError

from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.events import inbox
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.persisting import DOUBTS
from crm_kit.events.received import Message
from crm_kit.events.unread import Unread
from crm_kit.operating import stored
from crm_kit.process.runtime import Runtime
from crm_kit.store.outages import database_away, unfit
from crm_kit.store.record import new_id

from .conftest import Story, rows, send, until
from .test_intake import running

TYPE = "crm.mini.thing.created.v1"


def mutated(**members: Any) -> bytes:
    """A first event of a thing, some of whose members are another's."""
    return orjson.dumps({**orjson.loads(Story().body("created", 1)), **members})


def recorded(**fields: Any) -> bytes:
    """The same with other fields in its record."""
    document = orjson.loads(Story().body("created", 1))
    document["data"]["record"] |= fields
    return orjson.dumps(document)


def nested(depth: int) -> Any:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: dict[str, bytes] = {
    "no JSON": b"\xff\x00",
    "no object": b"[]",
    "a surrogate alone": Story().body("created", 1, "X").replace(b"X", rb"\ud800"),
    "a number without end": Story().body("created", 1, "X").replace(b'"X"', b"1e999"),
    "a version past the column": mutated(entityversion=2**31),
    "a version past everything": mutated(entityversion=2**40),
    "a version past 64 bits": mutated(entityversion=2**63 - 1),
    "version 0": mutated(entityversion=0),
    "a version that is not the record's": recorded(version=7),
    "a version in the record past the column": recorded(version=2**40),
    "another record's id": recorded(id=str(new_id())),
    "no id": mutated(id=""),
    "an id in braces": mutated(id=f"{{{new_id()}}}"),
    "no subject": mutated(subject=0),
    "a time before time": mutated(time="0001-01-01T00:00:00+14:00"),
    "a time after time": mutated(time="9999-12-31T23:59:59-14:00"),
    "a time without zone": mutated(time="2026-05-04T09:30:00"),
    "another source": mutated(source="/crm/identity"),
    "a long source": mutated(source="/crm/" + "x" * 100_000),
    "no type of ours": mutated(type="crm.mini." + "x" * 10_000),
    "a long actor": mutated(actor="x" * 100_000),
    "a long correlation": mutated(correlationid="x" * 129),
    "a trace that is none": mutated(traceparent="nothing"),
    "U+0000 in a value": recorded(name="a\0b"),
    "U+0000 in a key": mutated(data={**orjson.loads(Story().body("created", 1))["data"], "a\0b": 1}),
    "U+0000 in an attribute": mutated(correlationid="a\0b"),
    "a record that is none": mutated(data={"record": 1}),
    "no data": mutated(data=None),
    "a name past its contract": recorded(name="x" * 101),
    "a name that is no text": recorded(name=2**63 - 1),
    "nested deep": recorded(more=nested(100)),
    "nested too deep to read": recorded(more=0).replace(b'"more":0', b'"more":' + b"[" * 5000 + b"]" * 5000),
    "larger than any event": recorded(more="x" * 1_200_000),
}


async def publish(publisher: Publisher, body: bytes, **headers: Any) -> None:
    """Under the type of a true event and with its headers, unless told otherwise."""
    told: dict[str, Any] = {
        "id": str(new_id()),
        "type": TYPE,
        "source": "/crm/mini",
        "subject": str(new_id()),
        "crm-version": 1,
    }
    message = outgoing(body, TYPE, message_id=told["id"], headers=told)
    message.properties.headers = {**told, **headers}
    assert await publisher.publish(EVENTS, [message]) == [Outcome.CONFIRMED]


async def count(runtime: Runtime, what: str) -> int:
    [(found,)] = await rows(runtime, f"select count(*) from {what}")  # noqa: S608  # this file's own
    return int(found)


def reaches(runtime: Runtime, what: str, expected: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return await count(runtime, what) >= expected

    return reached


async def test_hostile_events_are_parked_and_good_ones_between_them_take_effect(
    intake: Intake, runtime: Runtime, publisher: Publisher
) -> None:
    stories = [Story() for _ in range(2 * len(HOSTILE))]
    good = iter(stories)
    for body in HOSTILE.values():
        await send(publisher, next(good).tell("created"))
        await publish(publisher, body)
        await send(publisher, next(good).tell("created"))
    async with running(intake):
        await until(reaches(runtime, "seen", len(stories)), seconds=120)
        await until(reaches(runtime, "thing_copy", len(stories)), seconds=120)
        await until(reaches(runtime, "inbox where state = 'parked' and consumer = 'mini.echoes'", len(HOSTILE)))
    assert await count(runtime, "seen") == len(stories), "no hostile one was handled"
    assert await count(runtime, "thing_copy") == len(stories)
    assert await count(runtime, "inbox where state in ('pending', 'waiting')") == 0
    async with runtime.db.autocommit() as conn:
        shown = [entry async for entry in stored.parked(conn, "mini")]
    assert {entry.group for entry in shown} == {"mini.echoes", "mini.copies", "mini.journal"}
    assert all(entry.error for entry in shown)
    assert not any("xxxxx" in str(entry.error) for entry in shown), "what an operator lists holds no value"


@pytest.mark.parametrize(
    "headers",
    [
        {"crm-version": 2**40},
        {"crm-version": -(2**40)},
        {"subject": "\0" * 10, "id": "\0"},
        {"id": "x" * 50_000, "subject": {"a": [1, 2]}},
        {"crm-version": True, "id": [1], "subject": bytearray(b"\xff\x00")},
    ],
)
async def test_what_cannot_be_read_is_parked_whatever_its_headers_say(
    intake: Intake, runtime: Runtime, publisher: Publisher, headers: dict[str, Any], story: Story
) -> None:
    await publish(publisher, b"{", **headers)
    await publish(publisher, b"[", **{**headers, "type": "x" * 3_000, "source": "\0y"})
    await send(publisher, story.tell("created"))
    async with running(intake):
        await until(reaches(runtime, "seen", 1))
        await until(reaches(runtime, "inbox where state = 'parked'", 4))


class Raw(str):
    """Text that is no UTF-8 on the wire."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"crm.mini.thing.\xff\xfe"


UNREADABLE: dict[str, Any] = {
    "message_id": Raw("x"),
    "message_type": Raw("x"),
    "content_type": Raw("x"),
    "timestamp": datetime(2100, 1, 1, tzinfo=UTC),
    "headers": {"id": nested(400)},
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_properties_that_are_no_text_do_not_end_the_connection(
    intake: Intake, runtime: Runtime, publisher: Publisher, story: Story, what: str
) -> None:
    message = outgoing(b"{", TYPE, message_id=str(new_id()), headers={"id": str(new_id()), "source": "/crm/mini"})
    setattr(message.properties, what, UNREADABLE[what])
    await publisher.publish(EVENTS, [message])
    await send(publisher, story.tell("created"))
    async with running(intake):
        await until(reaches(runtime, "seen", 1))
        await until(reaches(runtime, "inbox where state = 'parked'", 1))


async def test_a_routing_key_that_is_no_text_does_not_end_the_connection(
    intake: Intake, runtime: Runtime, publisher: Publisher, story: Story
) -> None:
    message = outgoing(b"{", TYPE, message_id=str(new_id()), headers={})
    await publisher.publish(EVENTS, [replace(message, routing_key=Raw("crm.mini.thing.x"))])
    await send(publisher, story.tell("created"))
    async with running(intake):
        await until(reaches(runtime, "seen", 1))
        await until(reaches(runtime, "inbox where state = 'parked'", 1))


async def test_an_error_of_the_bookkeeping_is_the_messages_own(
    dispatcher: Dispatcher, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the database refuses of one event, and at whatever statement: the others of its batch are done."""
    stories = [Story() for _ in range(40)]
    bad = stories[17].id
    insert = inbox.insert_done

    async def refuse(conn: Any, events: Any) -> Any:
        if any(event[3] == bad for event in events):
            await conn.exec_driver_sql("select 1099511627776::int4")
        return await insert(conn, events)

    monkeypatch.setattr(inbox, "insert_done", refuse)
    calls = 0
    transaction = Dispatcher._transaction

    async def counted(self: Dispatcher, *arguments: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        await transaction(self, *arguments, **named)

    monkeypatch.setattr(Dispatcher, "_transaction", counted)
    await dispatcher.settle([story.tell("created") for story in stories])
    assert await count(runtime, "seen") == 39
    assert await rows(
        runtime, "select distinct entity, state, last_error like '%Numeric%' from inbox where body is not null"
    )
    assert {row[0] for row in await rows(runtime, "select entity from inbox where state = 'parked'")} == {bad}
    assert calls < 60, "halves, not one by one"


async def test_what_ends_the_connection_each_time_is_no_outage(
    intake: Intake, runtime: Runtime, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database answers everybody else, so the message is to blame: it is parked, and the rest goes on."""
    monkeypatch.setattr("crm_kit.events.persisting.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("crm_kit.events.persisting.LONGEST_PAUSE", 0.01)
    stories = [Story() for _ in range(3)]
    transaction, tries = Dispatcher._transaction, 0

    async def deadly(self: Dispatcher, concerned: Any, work: Any) -> None:
        nonlocal tries
        if any(m.envelope.subject == stories[1].id for m, _ in concerned):
            tries += 1
            async with self.runtime.db.begin() as conn:
                await conn.exec_driver_sql("select pg_terminate_backend(pg_backend_pid())")
        await transaction(self, concerned, work)

    monkeypatch.setattr(Dispatcher, "_transaction", deadly)
    await send(publisher, *(story.tell("created") for story in stories))
    async with running(intake):
        await until(reaches(runtime, "seen", 2), seconds=120)
        await until(reaches(runtime, "inbox where state = 'parked'", 3), seconds=120)
    assert tries <= 3 * DOUBTS


async def test_what_cannot_be_stored_at_all_goes_to_the_dead_letters_and_nobody_waits(
    intake: Intake, runtime: Runtime, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, tries = Unread.keep, 0

    async def refuse(self: Unread, conn: Any, failures: Any) -> Any:
        nonlocal tries
        # At the inbox, its second try there, and once as a dead letter.
        if any(failure.body == b"{" for failure in failures) and tries < 3:
            tries += 1
            raise LookupError
        return await keep(self, conn, failures)

    monkeypatch.setattr(Unread, "keep", refuse)
    monkeypatch.setattr("crm_kit.events.persisting.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("crm_kit.events.persisting.LONGEST_PAUSE", 0.01)
    stories = [Story(), Story()]
    await send(publisher, stories[0].tell("created"))
    await publish(publisher, b"{")
    await send(publisher, stories[1].tell("created"))
    async with running(intake):
        await until(reaches(runtime, "seen", 2))
        await until(reaches(runtime, "inbox where state = 'parked'", 3))
    assert tries == 3


async def test_the_retries_go_on_past_what_this_release_cannot_read(
    intake: Intake, runtime: Runtime, publisher: Publisher
) -> None:
    """What an older release stored may be unreadable to this one: waiting for its turn, or due."""
    waiting, story = Story(), Story()
    await send(publisher, Message.read(waiting.body("created", 2)))
    async with running(intake):
        await until(reaches(runtime, "inbox where state = 'waiting'", 1))
        await rows(runtime, "update inbox set body = 'x', received_at = received_at - interval '1 hour' returning 1")
        await send(publisher, Message.read(waiting.body("created", 1)), story.tell("created"))
        await until(reaches(runtime, "inbox where state = 'parked'", 1))
        await until(reaches(runtime, "seen", 2))


@pytest.mark.parametrize(
    ("error", "away", "is_unfit"),
    [
        (asyncpg.DataError("invalid input for query argument $1"), False, True),
        (asyncpg.NumericValueOutOfRangeError(""), False, True),
        (asyncpg.ProgramLimitExceededError("index row size"), False, True),
        (StatementError("", "", None, OverflowError()), False, False),
        (OverflowError(), False, True),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, ""), False, True),
        (asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"), False, False),
        (asyncpg.InterfaceError("cannot perform operation: connection is closed"), True, False),
        (asyncpg.ForeignKeyViolationError(""), False, False),
        (asyncpg.UndefinedTableError(""), False, False),
        (asyncpg.AdminShutdownError(""), True, False),
        (asyncpg.TooManyConnectionsError(""), True, False),
        (asyncpg.DiskFullError(""), True, False),
        (asyncpg.ReadOnlySQLTransactionError(""), True, False),
        (asyncpg.InvalidPasswordError(""), True, False),
        (asyncpg.InvalidCatalogNameError(""), True, False),
        (asyncpg.QueryCanceledError(""), False, False),
        (ConnectionRefusedError(), True, False),
        (DBAPIError("", None, asyncpg.ConnectionDoesNotExistError("")), True, False),
        (LookupError(), False, False),
    ],
)
def test_only_an_outage_is_waited_for(error: Exception, away: bool, is_unfit: bool) -> None:
    assert database_away(error) is away
    assert unfit(error) is is_unfit
