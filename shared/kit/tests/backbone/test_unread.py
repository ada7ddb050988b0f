"""Messages that are no events: so many are kept, what is not is counted and told, and real events are kept however many."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from crm_kit.broker.publishing import Publisher
from crm_kit.configuration.settings import Settings
from crm_kit.events.deferred import Failure
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.inbox import EventKey
from crm_kit.events.intake import Intake
from crm_kit.events.unread import UNREAD_BYTES, Unread
from crm_kit.operating import decisions, stored
from crm_kit.operating.chosen import Chosen
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id

from .conftest import Story, rows, send, until
from .test_hostile_events import publish
from .test_intake import give_up, running

MOST = 5
KEPT = "select count(*)::int from inbox where state = 'parked' and attempts = 0"
DROPPED = "select consumer, type, attempts from inbox where state = 'parked' and type = '(not kept)'"


@pytest.fixture
def intake(dispatcher: Dispatcher, amqp_url: str) -> Intake:
    intake = Intake(dispatcher, amqp_url)
    intake._unread = Unread(MOST, "crm.mini.inbox")
    return intake


async def garbage(publisher: Publisher, first: int, last: int, **headers: Any) -> None:
    for number in range(first, last):
        await publish(publisher, b"{%d" % number, type="crm.mini.nothing.happened.v1", **headers)


def reached(runtime: Runtime, sql: str, expected: list[tuple[Any, ...]]) -> Any:
    async def reached() -> bool:
        return await rows(runtime, sql) == expected

    return reached


async def test_the_first_are_kept_and_the_others_counted_and_told(
    intake: Intake, runtime: Runtime, publisher: Publisher, story: Story
) -> None:
    await garbage(publisher, 0, 8)
    await publish(publisher, b"[")
    await send(publisher, story.tell("created"))
    with capture_logs() as logs:
        async with running(intake):
            await until(reached(runtime, "select count(*)::int from seen", [(1,)]))
    assert await rows(runtime, KEPT) == [(MOST,)]
    assert await rows(runtime, DROPPED) == [("crm.mini.inbox", "(not kept)", 4)]
    bodies = "select convert_from(body, 'utf8') from inbox where state = 'parked' and attempts = 0 order by 1"
    assert await rows(runtime, bodies) == [(f"{{{number}",) for number in range(MOST)]
    told = [line for line in logs if line["event"] == "inbox.dropped"]
    assert len(told) == 4
    assert all(len(line["sha256"]) == 64 and line["bytes"] for line in told)
    assert {(line["source"], line["event_type"]) for line in told} == {
        ("", "crm.mini.nothing.happened.v1"),
        ("/crm/mini", "crm.mini.thing.created.v1"),
    }
    async with runtime.db.begin() as conn:
        [note] = [
            entry for entry in [entry async for entry in stored.parked(conn, "mini")] if entry.type == "(not kept)"
        ]
    assert note.attempts == 4
    assert "CRM_UNREAD_MESSAGES" in str(note.error)


async def test_what_an_operator_puts_away_makes_room(intake: Intake, runtime: Runtime, publisher: Publisher) -> None:
    await garbage(publisher, 0, 7)
    async with running(intake):
        await until(reached(runtime, DROPPED, [("crm.mini.inbox", "(not kept)", 2)]))
        async with runtime.db.begin() as conn:
            for entry in [entry async for entry in stored.parked(conn, "mini")]:
                await decisions.skip(conn, Chosen(entry.event_id), reason="a test")
        await garbage(publisher, 10, 16)
        await until(reached(runtime, DROPPED, [("crm.mini.inbox", "(not kept)", 1)]))
    assert await rows(runtime, KEPT) == [(MOST,)]


async def test_what_is_kept_and_comes_again_is_not_dropped(intake: Intake, runtime: Runtime) -> None:
    [failure] = _failures(1)
    unread = Unread(1, "crm.mini.inbox")
    for _ in range(2):
        async with runtime.db.begin() as conn:
            assert await unread.keep(conn, [failure, failure]) == []
    assert await rows(runtime, KEPT) == [(1,)]


async def test_of_each_a_bounded_part_is_kept(runtime: Runtime) -> None:
    [failure] = _failures(1, b"x" * 3 * UNREAD_BYTES)
    async with runtime.db.begin() as conn:
        assert await Unread(1, "crm.mini.inbox").keep(conn, [failure]) == []
    assert await rows(runtime, "select length(body) from inbox") == [(UNREAD_BYTES,)]


async def test_events_that_the_broker_gave_up_on_are_kept_however_many(
    intake: Intake, runtime: Runtime, publisher: Publisher, amqp_url: str
) -> None:
    """They can be read and tried again, and hold up their records: none may be missing."""
    await send(publisher, *(Story().tell("created") for _ in range(MOST + 2)))
    await give_up(amqp_url, MOST + 2)
    async with running(intake):
        await until(reached(runtime, "select count(*)::int from inbox where state = 'parked'", [(3 * (MOST + 2),)]))
    assert await rows(runtime, DROPPED) == []


def _failures(count: int, body: bytes = b"{") -> list[Failure]:
    keys = [EventKey("crm.mini.inbox", "/crm/mini", new_id()) for _ in range(count)]
    return [Failure(key, None, None, "x", body, "parked", 0, None, "no") for key in keys]


def test_the_bound_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SERVICE", "mini"), ("SECRET", "secret"), ("UNREAD_MESSAGES", "7")):
        monkeypatch.setenv(f"CRM_{name}", value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@nowhere/nothing")
    assert Settings().unread_messages == 7
