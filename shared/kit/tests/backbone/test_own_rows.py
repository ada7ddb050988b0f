"""Projections whose own rows say how far they are: no key and no position is kept of what takes effect."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from crm_kit import clock
from crm_kit.copies.projected import Awaited, _missing, question_of
from crm_kit.events import inbox, own_rows
from crm_kit.events.deferred import Failure, store
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.operating import decisions
from crm_kit.operating.chosen import Chosen
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling import gone

from .conftest import Story, rows
from .miniature import THING, keyless

COPY = "select epoch, version, name, deleted from thing_copy"
TOLD = "select version from told order by version"
STORED = "select consumer, entity_version, state, attempts from inbox where consumer <> 'mini.echoes' order by 1, 2"
POSITIONS = "select distinct consumer from inbox_position"
DUE = "update inbox set next_attempt_at = $1 where state = 'pending' returning 1"
CURE = "update inbox set body = convert_to(replace(convert_from(body, 'utf8'), 'poison', 'cured'), 'utf8') returning 1"


@pytest.fixture
def dispatcher(runtime: Runtime) -> Dispatcher:
    return Dispatcher(keyless, runtime, {(group.name, source): clock.now() for group, source in keyless.sources()})


async def test_what_takes_effect_leaves_no_key_and_no_position(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("created", "first"), story.tell("renamed", "second")])
    assert await rows(runtime, COPY) == [(0, 2, "second", False)]
    assert await rows(runtime, TOLD) == [(1,), (2,)]
    assert await rows(runtime, "select distinct consumer from inbox") == [("mini.echoes",)]
    assert await rows(runtime, POSITIONS) == [("mini.echoes",)]


async def test_three_times_each_and_shuffled_by_two_workers_ends_at_the_newest(
    dispatcher: Dispatcher, runtime: Runtime
) -> None:
    stories = [Story() for _ in range(20)]
    told = [story.tell("created" if n == 0 else "renamed", f"name {n}") for story in stories for n in range(10)]
    deliveries = told * 3
    random.Random(7).shuffle(deliveries)

    async def work(part: list[Message]) -> None:
        for start in range(0, len(part), 37):
            await dispatcher.settle(part[start : start + 37])

    await asyncio.gather(work(deliveries[::2]), work(deliveries[1::2]))
    assert await rows(runtime, "select distinct version, name from thing_copy") == [(10, "name 9")]
    assert await rows(runtime, "select count(*), count(distinct id) from told") == [(200, 200)]
    seen = await rows(runtime, "select thing_id, array_agg(version order by position) from seen group by 1")
    assert len(seen) == 20
    assert all(versions == list(range(1, 11)) for _, versions in seen)


async def test_a_delete_leaves_a_tombstone_that_older_events_do_not_raise(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    created, deleted = story.tell("created"), story.tell("deleted")
    await dispatcher.settle([deleted])
    await dispatcher.settle([created])
    assert await rows(runtime, COPY) == [(0, 2, "a name", True)]


async def test_what_fails_is_stored_and_holds_up_nothing(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    other = Story()
    batch = [story.tell("created", "poison projection"), other.tell("created"), story.tell("renamed", "later")]
    await dispatcher.settle(batch)
    assert await rows(runtime, STORED) == [("mini.copies", 1, "pending", 1)]
    assert await rows(runtime, f"{COPY} order by version") == [(0, 1, "a name", False), (0, 2, "later", False)]
    assert await rows(runtime, "select count(*) from told") == [(3,)]


async def test_a_later_version_that_took_effect_ends_what_is_stored_without_another_try(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    intake = Intake(dispatcher, runtime.settings.amqp_url)
    await dispatcher.settle([story.tell("created", "poison projection")])
    await dispatcher.settle([story.tell("renamed", "later")])
    assert await rows(runtime, STORED) == [("mini.copies", 1, "pending", 1)]
    await rows(runtime, DUE, clock.now())
    assert await intake.retries.retry_due() == 1
    assert await rows(runtime, STORED) == [("mini.copies", 1, "done", 2)]
    assert await rows(runtime, COPY) == [(0, 2, "later", False)]


@pytest.mark.parametrize("poison", ["poison projection", "poison journal"])
async def test_a_retry_that_succeeds_takes_effect(
    dispatcher: Dispatcher, runtime: Runtime, story: Story, poison: str
) -> None:
    intake = Intake(dispatcher, runtime.settings.amqp_url)
    await dispatcher.settle([story.tell("created", poison)])
    assert len(await rows(runtime, STORED)) == 1
    await rows(runtime, CURE)
    await rows(runtime, DUE, clock.now())
    assert await intake.retries.retry_due() == 1
    assert {state for _, _, state, _ in await rows(runtime, STORED)} == {"done"}
    assert [version for _, version, *_ in await rows(runtime, COPY)] == [1]
    assert await rows(runtime, TOLD) == [(1,)]


async def test_a_delivery_of_what_is_stored_already_leaves_its_attempts_as_they_are(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    broken = story.tell("created")
    broken = Message.read(broken.body.replace(b'"name":"a name"', b'"name":7'))
    for _ in range(2):
        await dispatcher.settle([broken])
        assert await rows(runtime, STORED) == [("mini.copies", 1, "parked", 1), ("mini.told", 1, "parked", 1)]


async def test_what_a_release_before_had_waiting_is_made_due(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    intake = Intake(dispatcher, runtime.settings.amqp_url)
    message = story.tell("created")
    key = inbox.EventKey("mini.copies", "/crm/mini", message.envelope.id)
    waits = Failure(key, story.id, 1, message.envelope.type, message.body, "waiting", 0, None, "waits")
    async with runtime.db.begin() as conn:
        await store(conn, [waits])
    assert await dispatcher.release() == 1
    assert await intake.retries.retry_due() == 1
    assert [version for _, version, *_ in await rows(runtime, COPY)] == [1]


async def test_a_restored_publisher_replaces_what_is_ahead_and_its_lost_future_stays_away(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    lost = [story.tell("created", "Ann"), *(story.tell("renamed", f"lost {n}") for n in range(4))]
    await dispatcher.settle(lost)
    story.version, story.epoch = 2, 7
    told = [story.tell("renamed", "Bea"), story.tell("renamed", "Cho")]
    await dispatcher.settle(told)
    assert await rows(runtime, COPY) == [(7, 4, "Cho", False)]
    late = Story(story.id, version=5)
    await dispatcher.settle([late.tell("renamed", "lost 5"), late.tell("deleted", "lost 6")])
    assert await rows(runtime, COPY) == [(7, 4, "Cho", False)]
    assert {id_ for (id_,) in await rows(runtime, "select id from told")} == {m.envelope.id for m in (*lost, *told)}
    known = await rows(runtime, "select consumer, epoch from inbox_epoch order by 1")
    assert known == [("mini.copies", 7), ("mini.told", 7)]


async def test_a_record_that_the_restored_publisher_never_had_stays_away_once_its_epoch_was_taken_up(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into inbox_bound (consumer, source, bound_at, epoch) select c, '/crm/mini', '2026-05-04T09:30Z', 5"
            " from unnest('{mini.copies,mini.told}'::text[]) c"
        )
    await dispatcher.settle([story.tell("created", "from the lost future")])
    assert await rows(runtime, COPY) == []
    assert await rows(runtime, TOLD) == []
    here = Story(epoch=5)
    await dispatcher.settle([here.tell("created", "here")])
    assert await rows(runtime, COPY) == [(5, 1, "here", False)]


async def test_what_its_publisher_does_not_have_is_a_tombstone_of_the_epoch(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("created")])
    group = keyless.groups["mini.copies"]
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("select 1")
        [(id_, _)] = await own_rows.copies_after(conn, group, "mini", UUID(int=0), 10)
        await gone.forget(runtime, conn, group, "/crm/mini", [id_], 9)
    await dispatcher.settle([story.tell("renamed", "of the lost future")])
    assert await rows(runtime, COPY) == [(9, 1, "a name", True)]


async def test_the_epoch_of_a_source_is_noted_when_nobody_goes_by_the_one_before(runtime: Runtime) -> None:
    """Who has read it keeps it until the commit, so no event of the lost future slips in beside the first of the new epoch."""
    ended: list[str] = []

    async def note() -> None:
        async with runtime.db.begin() as conn:
            await inbox.note_epochs(conn, {("mini.told", "/crm/mini"): 3})
        ended.append("noted")

    async with runtime.db.begin() as conn:
        assert await inbox.heard_epochs(conn, ["mini.told"]) == {}
        noting = asyncio.create_task(note())
        while not await rows(
            runtime,
            "select 1 from pg_stat_activity where datname = current_database()"
            " and wait_event_type = 'Lock' and wait_event = 'relation'",
        ):
            assert not noting.done()
        ended.append("went by the first")
    await noting
    assert ended == ["went by the first", "noted"]


async def test_a_backup_that_reads_the_table_does_not_hold_up_a_new_epoch(runtime: Runtime) -> None:
    async with runtime.db.begin() as dump:
        await dump.exec_driver_sql("lock table inbox_epoch in access share mode")
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("set local lock_timeout = '1s'")
            await inbox.note_epochs(conn, {("mini.told", "/crm/mini"): 3})
    async with runtime.db.begin() as conn:
        assert (await inbox.heard_epochs(conn, ["mini.told"]))["mini.told", "/crm/mini"].epoch == 3


Missing = Callable[[int], Awaitable[dict[str, bool]]]


@pytest.fixture
def missing(runtime: Runtime, story: Story) -> Missing:
    """Which groups are not at a version of the story, and of each whether what it waits for is parked."""

    async def ask(version: int) -> dict[str, bool]:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("select 1")
            awaited = [
                Awaited(group.name, "/crm/mini", story.id, version, question_of(group, THING))
                for group in keyless.groups.values()
            ]
            return {one.group: parked for one, parked in (await _missing(conn, awaited)).items()}

    return ask


PARK = "update inbox set state = 'parked' where consumer = $1 and state in ('pending', 'waiting') returning 1"


async def test_own_rows_say_how_far_a_record_is(
    dispatcher: Dispatcher, runtime: Runtime, story: Story, missing: Missing
) -> None:
    await dispatcher.settle([story.tell("created"), story.tell("renamed")])
    assert await missing(2) == {}
    assert await missing(3) == dict.fromkeys(keyless.groups, False)
    await dispatcher.settle([story.tell("renamed", "poison projection")])
    assert await missing(3) == {"mini.copies": False}
    await rows(runtime, PARK, "mini.copies")
    assert await missing(3) == {"mini.copies": True}


async def test_what_is_parked_holds_up_nothing_where_no_order_is_kept(
    dispatcher: Dispatcher, runtime: Runtime, story: Story, missing: Missing
) -> None:
    await dispatcher.settle([story.tell("created"), story.tell("renamed", "poison projection")])
    await rows(runtime, PARK, "mini.copies")
    assert (await missing(3))["mini.copies"] is False, "the third comes by itself"
    await dispatcher.settle([story.tell("renamed")])
    assert await missing(3) == {}


async def test_where_order_is_kept_only_what_precedes_holds_up(
    dispatcher: Dispatcher, runtime: Runtime, story: Story, missing: Missing
) -> None:
    first, second, third = story.tell("created"), story.tell("renamed"), story.tell("renamed")
    await dispatcher.settle([first, third])
    await rows(runtime, PARK, "mini.echoes")
    assert await missing(2) == {"mini.echoes": False}, "the second has yet to come"
    assert await missing(3) == {"mini.echoes": True}
    await dispatcher.settle([second])
    assert await missing(3) == {"mini.echoes": True}


async def test_what_an_operator_left_out_is_not_waited_for(
    dispatcher: Dispatcher, runtime: Runtime, story: Story, missing: Missing
) -> None:
    await dispatcher.settle([story.tell("created"), left_out := story.tell("renamed", "poison projection")])
    await rows(runtime, PARK, "mini.copies")
    assert await missing(2) == {"mini.copies": True}
    async with runtime.db.begin() as conn:
        assert await decisions.skip(conn, Chosen(left_out.envelope.id), reason="a broken import") == 1
    assert await missing(2) == {}
    assert await missing(3) == dict.fromkeys(keyless.groups, False)


async def test_the_position_of_a_story_that_its_publisher_lost_says_nothing(
    dispatcher: Dispatcher, runtime: Runtime, story: Story, missing: Missing
) -> None:
    lost = [story.tell("created"), *(story.tell("renamed") for _ in range(3))]
    await dispatcher.settle([*lost, left_out := story.tell("renamed", "poison projection")])
    async with runtime.db.begin() as conn:
        assert await decisions.skip(conn, Chosen(left_out.envelope.id), reason="a broken import") == 1
    story.version, story.epoch = 1, 7
    await dispatcher.settle([story.tell("renamed")])
    assert "mini.copies" in await missing(3)


def test_only_what_is_declared_whole_goes_without_keys() -> None:
    assert {name: group.keyless for name, group in keyless.groups.items()} == {
        "mini.copies": True,
        "mini.echoes": False,
        "mini.told": True,
    }
