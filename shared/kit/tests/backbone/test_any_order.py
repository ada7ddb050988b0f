"""Steps that act on each event for itself: once, whatever came before, and at no cost for the other events."""

from typing import Any

import pytest

from crm_kit import clock
from crm_kit.copies.projected import Awaited, _missing, question_of
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.process.runtime import Runtime

from .conftest import Story, rows
from .miniature import THING, acting

SEEN = "select version from seen order by position"
KEYS = "select consumer, entity_version, state from inbox order by 2"
DUE = (
    "update inbox set next_attempt_at = $1, body = convert_to(replace(convert_from(body, 'utf8'), 'poison', 'cured'), 'utf8')"
    " where state = 'pending' returning 1"
)


@pytest.fixture
def dispatcher(runtime: Runtime) -> Dispatcher:
    return Dispatcher(acting, runtime)


async def test_it_acts_once_in_the_order_of_arrival_and_hears_of_nothing_else(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    told = [story.tell("created"), story.tell("renamed"), story.tell("updated"), story.tell("renamed")]
    for message in [*reversed(told), *told]:
        await dispatcher.settle([message])
    assert await rows(runtime, SEEN) == [(4,), (2,)]
    assert await rows(runtime, KEYS) == [("mini.echoes", 2, "done"), ("mini.echoes", 4, "done")]
    assert await rows(runtime, "select * from inbox_position") == []
    assert await rows(runtime, "select version from thing_copy") == [(4,)]


async def test_one_that_fails_holds_up_no_other_and_is_tried_again(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    intake = Intake(dispatcher, runtime.settings.amqp_url)
    await dispatcher.settle([story.tell("created"), story.tell("renamed", "poison step"), story.tell("renamed")])
    assert await rows(runtime, SEEN) == [(3,)]
    assert await rows(runtime, KEYS) == [("mini.echoes", 2, "pending"), ("mini.echoes", 3, "done")]
    assert len(await rows(runtime, DUE, clock.now())) == 1
    assert await intake.retries.retry_due() == 1
    assert await rows(runtime, SEEN) == [(3,), (2,)]
    assert {state for *_, state in await rows(runtime, KEYS)} == {"done"}


async def test_an_unknown_major_of_what_it_acts_on_is_parked(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("renamed.v2"), story.tell("created.v2")])
    assert ("mini.echoes", 1, "parked") in await rows(runtime, KEYS)
    assert ("mini.echoes", 2, "parked") not in await rows(runtime, KEYS)


async def test_who_waits_for_it_waits_for_what_is_not_done(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    async def missing(version: int) -> dict[str, Any]:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("select 1")
            groups = acting.groups.values()
            awaited = [
                Awaited(group.name, "/crm/mini", story.id, version, question_of(group, THING)) for group in groups
            ]
            return {one.group: parked for one, parked in (await _missing(conn, awaited)).items()}

    assert await missing(1) == {"mini.copies": False}, "the projection beside it says that nothing came"
    await dispatcher.settle([story.tell("created"), story.tell("renamed", "poison step")])
    assert await missing(1) == {}
    assert await missing(2) == {"mini.echoes": False}
