"""Exactly once, in order, and one bad event never in the way of another."""

import random

from crm_kit import clock
from crm_kit.events import deferred
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime

from .conftest import Story, rows

STATES = "select consumer, state, attempts from inbox where state not in ('done', 'skipped') order by 1, 2"


async def test_an_event_takes_effect_in_every_group(dispatcher: Dispatcher, runtime: Runtime, story: Story) -> None:
    await dispatcher.settle([story.tell("created", "first"), story.tell("renamed", "second")])
    assert await rows(runtime, "select id, version, name, deleted from thing_copy") == [(story.id, 2, "second", False)]
    assert await rows(runtime, "select version from seen order by position") == [(1,), (2,)]
    assert await rows(runtime, "select count(*) from journal") == [(2,)]
    assert await rows(runtime, "select thing_id, thing_version from echo") == [(story.id, 2)]
    assert await rows(runtime, "select type from outbox") == [("crm.mini.echo.created.v1",)]


async def test_the_same_event_again_changes_nothing(dispatcher: Dispatcher, runtime: Runtime, story: Story) -> None:
    message = story.tell("created")
    await dispatcher.settle([message, message])
    await dispatcher.settle([message])
    assert await rows(runtime, "select count(*) from seen") == [(1,)]
    assert await rows(runtime, "select count(*) from journal") == [(1,)]
    assert await rows(runtime, "select body is null, state from inbox") == [(True, "done")] * 3


async def test_three_times_each_and_shuffled_is_once_each_and_in_order(
    dispatcher: Dispatcher, runtime: Runtime
) -> None:
    stories = [Story() for _ in range(20)]
    told = [story.tell("created" if n == 0 else "renamed", f"name {n}") for story in stories for n in range(10)]
    deliveries = told * 3
    random.Random(7).shuffle(deliveries)
    for start in range(0, len(deliveries), 37):
        await dispatcher.settle(deliveries[start : start + 37])
    seen = await rows(runtime, "select thing_id, array_agg(version order by position) from seen group by 1")
    assert len(seen) == 20
    assert all(versions == list(range(1, 11)) for _, versions in seen)
    assert await rows(runtime, "select distinct version, name from thing_copy") == [(10, "name 9")]
    assert await rows(runtime, "select count(*), count(distinct event_id) from journal") == [(200, 200)]
    assert await rows(runtime, "select count(*) from echo") == [(180,)]
    assert await rows(runtime, STATES) == []


async def test_reversed_versions_wait_and_run_in_order(dispatcher: Dispatcher, runtime: Runtime, story: Story) -> None:
    told = [story.tell("created"), *(story.tell("renamed", f"name {n}") for n in range(2, 6))]
    for message in reversed(told):
        await dispatcher.settle([message])
    assert await rows(runtime, "select version from seen order by position") == [(1,), (2,), (3,), (4,), (5,)]
    assert await rows(runtime, "select version, name from thing_copy") == [(5, "name 5")]


async def test_a_gap_waits_without_costing_an_attempt(dispatcher: Dispatcher, runtime: Runtime, story: Story) -> None:
    first, second = story.tell("created"), story.tell("renamed")
    await dispatcher.settle([second])
    assert await rows(runtime, STATES) == [("mini.echoes", "waiting", 0)]
    await dispatcher.settle([first])
    assert await rows(runtime, STATES) == []


async def test_a_record_older_than_the_binding_starts_where_it_was_first_seen(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime
) -> None:
    """But not before an earlier event, held by a dying replica, would have been delivered again."""
    old, new = Story(version=6), Story(version=6)
    told = [Message.read(old.body("renamed", 8)), Message.read(old.body("renamed", 7))]
    dispatcher.bound = dict.fromkeys(dispatcher.bound, clock.now())
    await dispatcher.settle([*told, new.tell("renamed")])
    assert await dispatcher.start_late() == 0
    earlier = "update inbox set received_at = received_at - interval '1 minute' where state = 'waiting' returning 1"
    assert len(await rows(runtime, earlier)) == 3
    assert await dispatcher.start_late() == 1
    assert await dispatcher.release() == 1
    assert await intake.retries.retry_due() == 1
    assert await rows(runtime, "select thing_id, version from seen order by position") == [(old.id, 7), (old.id, 8)]
    assert await rows(runtime, "select entity, state from inbox where state <> 'done'") == [(new.id, "waiting")]


async def test_a_failing_handler_stops_its_own_record_and_group_only(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    other = Story()
    batch = [story.tell("created", "poison step"), other.tell("created"), story.tell("renamed"), other.tell("renamed")]
    await dispatcher.settle(batch)
    assert await rows(runtime, STATES) == [("mini.echoes", "pending", 1), ("mini.echoes", "waiting", 0)]
    assert await rows(runtime, "select thing_id, version from seen order by position") == [(other.id, 1), (other.id, 2)]
    assert await rows(runtime, "select count(*) from journal") == [(4,)]
    assert await rows(runtime, "select count(*) from thing_copy") == [(2,)]
    [(error,)] = await rows(runtime, "select last_error from inbox where state = 'pending'")
    assert error.startswith("LookupError at echo:")
    assert "cure" not in error


async def test_retries_run_out_and_park(dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story) -> None:
    await dispatcher.settle([story.tell("created", "poison step")])
    waits = []
    for attempt in range(1, deferred.LAST_ATTEMPT):
        [(attempts, wait)] = await rows(
            runtime,
            "select attempts, extract(epoch from next_attempt_at - $1)::float8 from inbox where state = 'pending'",
            clock.now(),
        )
        assert attempts == attempt
        waits.append(wait)
        assert await intake.retries.retry_due() == 0
        await rows(runtime, "update inbox set next_attempt_at = $1 where state = 'pending' returning 1", clock.now())
        assert await intake.retries.retry_due() == 1
    assert await rows(runtime, STATES) == [("mini.echoes", "parked", deferred.LAST_ATTEMPT)]
    for wait, expected in zip(waits, deferred.RETRY_SECONDS, strict=True):
        assert expected * 0.85 < wait < expected * 1.15


async def test_a_retry_that_succeeds_runs_what_waited_behind_it(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("created", "poison step"), story.tell("renamed"), story.tell("renamed")])
    await rows(
        runtime,
        "update inbox set next_attempt_at = $1,"
        " body = convert_to(replace(convert_from(body, 'utf8'), 'poison step', 'cured'), 'utf8')"
        " where state = 'pending' returning 1",
        clock.now(),
    )
    assert await intake.retries.retry_due() == 1
    assert await rows(runtime, "select version from seen order by position") == [(1,), (2,), (3,)]
    assert await rows(runtime, STATES) == []


async def test_what_fails_behind_a_success_gets_retries_of_its_own(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    first, second = story.tell("created"), story.tell("renamed", "poison step")
    await dispatcher.settle([second])
    await dispatcher.settle([first])
    assert await rows(runtime, "select version from seen") == [(1,)]
    assert await rows(runtime, STATES) == [("mini.echoes", "pending", 1)]


async def test_an_unknown_major_and_a_broken_contract_park_at_once(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("created.v2")])
    other = Story()
    message = other.tell("created")
    broken = Message.read(message.body.replace(b'"name":"a name"', b'"name":7'))
    await dispatcher.settle([broken])
    groups = ("mini.copies", "mini.echoes", "mini.journal")
    assert await rows(runtime, STATES) == [(group, "parked", 1) for group in groups for _ in range(2)]


async def test_an_unhandled_fact_still_moves_the_position(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("created"), story.tell("polished"), story.tell("renamed")])
    assert await rows(runtime, "select distinct version from inbox_position") == [(3,)]
    assert await rows(runtime, "select version from seen order by position") == [(1,), (3,)]


async def test_a_snapshot_updates_projections_and_leaves_steps_alone(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([Message.read(story.body("snapshot", 4, "as it is"))])
    assert await rows(runtime, "select version, name from thing_copy") == [(4, "as it is")]
    assert await rows(runtime, "select consumer, version from inbox_position where version > 0") == [("mini.copies", 4)]
    assert await rows(runtime, "select count(*) from seen") == [(0,)]


async def test_a_delete_leaves_a_tombstone(dispatcher: Dispatcher, runtime: Runtime, story: Story) -> None:
    created, deleted = story.tell("created"), story.tell("deleted")
    await dispatcher.settle([deleted])
    await dispatcher.settle([created])
    assert await rows(runtime, "select version, deleted from thing_copy") == [(2, True)]
    assert await rows(runtime, "select distinct deleted from inbox_position") == [(True,)]
