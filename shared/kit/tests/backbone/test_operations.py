"""What an operator sees and can do."""

import json
from uuid import UUID

import pytest

from crm_kit.broker.publishing import Publisher
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.events.relay import Relay
from crm_kit.operating import decisions, events_command, stored
from crm_kit.operating.chosen import Chosen
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id

from .conftest import Story, rows

UNFINISHED = "select consumer, state from inbox where state not in ('done', 'skipped')"


async def broken(dispatcher: Dispatcher, story: Story) -> Message:
    """An event whose contract is broken, parked in every group, with one more behind it."""
    created = story.tell("created")
    message = Message.read(created.body.replace(b'"name":"a name"', b'"name":7'))
    await dispatcher.settle([message, story.tell("renamed")])
    return message


async def test_parked_events_are_listed_with_their_reason_and_without_their_values(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    message = await broken(dispatcher, story)
    async with runtime.db.begin() as conn:
        entries = [entry async for entry in stored.parked(conn, "mini")]
        waiting = [entry async for entry in stored.pending(conn, "mini")]
    assert {entry.group for entry in entries} == {"mini.copies", "mini.echoes", "mini.journal"}
    assert {entry.event_id for entry in entries} == {message.envelope.id}
    assert {entry.error for entry in entries} == {"ValidationError: record.name: string_type"}
    assert [entry.state for entry in waiting] == ["waiting"] * 3


async def test_skipping_needs_a_reason_keeps_it_and_lets_the_next_event_go(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    message = await broken(dispatcher, story)
    with pytest.raises(ValueError, match="reason"):
        async with runtime.db.begin() as conn:
            await decisions.skip(conn, Chosen(message.envelope.id), reason=" ")
    async with runtime.db.begin() as conn:
        assert await decisions.skip(conn, Chosen(message.envelope.id), reason="made by a broken import") == 3
    assert await dispatcher.release() == 3
    assert await intake.retries.retry_due() == 3
    assert await rows(runtime, UNFINISHED) == []
    assert await rows(runtime, "select version from seen") == [(2,)]
    [(reason,)] = await rows(runtime, "select distinct skip_reason from inbox where state = 'skipped'")
    assert reason.startswith("made by a broken import (")


async def test_retry_gives_back_every_attempt(dispatcher: Dispatcher, runtime: Runtime, story: Story) -> None:
    message = await broken(dispatcher, story)
    async with runtime.db.begin() as conn:
        assert await decisions.retry(conn, Chosen(message.envelope.id, "mini.echoes")) == 1
        assert await decisions.retry(conn, Chosen(new_id())) == 0
    state = "select state, attempts, next_attempt_at is not null from inbox where consumer = 'mini.echoes' and event_id = $1"
    assert await rows(runtime, state, message.envelope.id) == [("pending", 0, True)]


async def test_a_gap_that_will_never_close_can_be_skipped(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    story.tell("created")
    second = story.tell("renamed")
    await dispatcher.settle([second])
    async with runtime.db.begin() as conn:
        changed = await decisions.skip_gap(conn, second.envelope.id, group="mini.echoes", reason="lost in a restore")
    assert changed == 1
    assert await intake.retries.retry_due() == 1
    assert await rows(runtime, "select version from seen") == [(2,)]
    await dispatcher.settle([story.tell("renamed")])
    assert await rows(runtime, "select version from seen order by position") == [(2,), (3,)]


async def test_an_event_nobody_can_route_can_be_skipped(runtime: Runtime, publisher: Publisher) -> None:
    event_id = new_id()
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, created_at)"
            " values ($1, 0, 'thing', $1, 1, 'not.ours', '{}', now())",
            (event_id,),
        )
    relay = Relay("mini", runtime.db, publisher)
    assert await relay.drain() == 1
    async with runtime.db.begin() as conn:
        [entry] = [entry async for entry in stored.pending(conn, "mini")]
        assert (entry.side, entry.attempts, entry.error) == ("outbox", 1, "returned")
        assert await decisions.skip(conn, Chosen(event_id), reason="a type of an experiment") == 1
    assert await rows(runtime, "select state from outbox") == [("skipped",)]


def test_the_command_prints_one_json_object_a_line(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert events_command.main(["parked", "--json"], {"mini": database_url}) == 0
    assert events_command.main(["retry", "--all"], {"mini": database_url}) == 1
    assert (
        events_command.main(
            ["snapshot", "--from", "mini", "--types", "thing", "--to", "crm.mini.inbox", "--no-wait"],
            {"mini": database_url},
        )
        == 0
    )
    told = capsys.readouterr()
    assert told.err.startswith("nothing of that kind is to be tried again"), "no object a line: not among them"
    printed = told.out.splitlines()
    assert printed[0] == "0 changed"
    assert UUID(printed[1].removeprefix("requested "))
    assert [json.loads(line) for line in printed[2:]] == []
