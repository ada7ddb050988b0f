"""A publisher's database is restored: what it says from then on takes effect, what it had said of a lost future does not."""

import asyncio

import orjson
import pytest

from crm_kit.events import epochs
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.epochs import (
    FIRST,
    InTheWay,
    NoEpochs,
    at_work,
    begin_epoch,
    current,
)
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.events.relay import message_of
from crm_kit.network.postgres import Target
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.work import outbox

from .conftest import Story, rows

SEEN = "select version from seen order by position"
COPY = "select version, name, deleted from thing_copy"


async def announce(runtime: Runtime, story: Story) -> None:
    """What a unit of work leaves in the outbox."""
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, created_at)"
            " values ($1, 0, 'thing', $2, $3, 'crm.mini.thing.updated.v1', $4, '2026-05-04T09:30Z')",
            (new_id(), story.id, story.version + 1, story.tell("updated").body),
        )


async def test_what_is_committed_after_an_epoch_began_carries_it(
    runtime: Runtime, database_url: str, story: Story
) -> None:
    await announce(runtime, story)
    epoch = await begin_epoch("mini", database_url, reason="restored from Monday's backup")
    await announce(runtime, story)
    async with runtime.db.autocommit() as conn:
        assert await current(conn) == epoch
        sent = (await conn.exec_driver_sql("select * from outbox order by seq")).mappings().all()
    messages = [message_of(row, "mini", runtime.settings.schemas) for row in sent]
    assert [Message.read(message.body).envelope.epoch for message in messages] == [0, epoch.number]
    assert messages[0].body == sent[0]["body"]
    assert [(message.properties.headers or {}).get("crm-epoch") for message in messages] == [None, epoch.number]


async def test_epochs_grow_whatever_the_restored_database_remembers(
    runtime: Runtime, dispatcher: Dispatcher, database_url: str, story: Story
) -> None:
    first = await begin_epoch("mini", database_url, reason="restored")
    again = await begin_epoch("mini", database_url, reason="restored once more")
    story.epoch = again.number + 1000
    await dispatcher.settle([story.tell("created")])
    third = await begin_epoch("mini", database_url, reason="and the clock was set back", others=[database_url])
    assert FIRST.number < first.number < again.number < story.epoch < third.number


async def test_a_database_of_an_earlier_release_is_to_be_migrated_first(runtime: Runtime, database_url: str) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("drop table database_epoch")
    with pytest.raises(NoEpochs, match="migrate it first"):
        await begin_epoch("mini", database_url, reason="restored")
    with pytest.raises(ValueError, match="reason"):
        await begin_epoch("mini", database_url, reason=" ")


async def test_a_dump_is_named_and_waited_for(runtime: Runtime, database_url: str) -> None:
    dump = await Target.of(database_url).connect("pg_dump")
    told: list[str] = []
    waits = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        waits.set()

    try:
        async with dump.transaction():
            await dump.execute("lock table outbox in access share mode")
            beginning = asyncio.create_task(begin_epoch("mini", database_url, reason="restored", tell=tell))
            async with asyncio.timeout(20):
                await waits.wait()
            # Who writes is not held up while the dump goes on.
            async with runtime.db.begin() as conn:
                await conn.exec_driver_sql("set local lock_timeout = '20s'")
                await conn.exec_driver_sql("update outbox set attempts = attempts")
        assert (await beginning).number > 0
    finally:
        await dump.close()
    assert told == ["waits for pg_dump, for up to 60 s"]


async def test_a_dump_that_does_not_end_is_not_waited_for_for_ever(
    runtime: Runtime, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epochs, "PATIENCE_SECONDS", 0.0)
    dump = await Target.of(database_url).connect("pg_dump")
    try:
        async with dump.transaction():
            await dump.execute("lock table outbox in access share mode")
            with pytest.raises(InTheWay, match="pg_dump held the outbox of mini"):
                await begin_epoch("mini", database_url, reason="restored")
    finally:
        await dump.close()
    async with runtime.db.autocommit() as conn:
        assert await current(conn) == FIRST


async def test_processes_at_work_are_known_by_their_connections(runtime: Runtime, database_url: str) -> None:
    api = await Target.of(database_url).connect("other-api")
    try:
        async with runtime.db.autocommit() as conn:
            assert await at_work(conn, "other") == ["other-api"]
            assert await at_work(conn, "another") == []
    finally:
        await api.close()


async def test_a_copy_that_was_ahead_takes_what_the_restored_publisher_says(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    lost = [story.tell("created", "Ann"), *(story.tell("renamed", f"lost {n}") for n in range(4))]
    await dispatcher.settle(lost)
    story.version, story.epoch = 2, 7
    told = [story.tell("renamed", "Bea"), story.tell("renamed", "Cho")]
    await dispatcher.settle(told)
    assert await rows(runtime, COPY) == [(4, "Cho", False)]
    late = Story(story.id, version=5)
    await dispatcher.settle([late.tell("renamed", "lost 5"), late.tell("deleted", "lost 6")])
    assert await rows(runtime, COPY) == [(4, "Cho", False)]
    assert await rows(runtime, "select distinct epoch, version from inbox_position where consumer = 'mini.copies'") == [
        (7, 4)
    ]
    shown = {event_id for (event_id,) in await rows(runtime, "select event_id from journal")}
    assert shown == {message.envelope.id for message in (*lost, *told)}


async def test_a_snapshot_of_a_restored_publisher_brings_back_what_was_deleted_in_the_lost_future(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("created", "Ann"), story.tell("deleted", "Ann")])
    assert await rows(runtime, COPY) == [(2, "Ann", True)]
    story.version, story.epoch = 0, 3
    await dispatcher.settle([story.tell("snapshot", "Ann")])
    assert await rows(runtime, COPY) == [(1, "Ann", False)]


async def test_old_and_new_events_of_one_batch_end_at_the_newest(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    old = [story.tell("created", "Ann"), *(story.tell("renamed", "lost") for _ in range(3))]
    story.version, story.epoch = 1, 2
    await dispatcher.settle([story.tell("renamed", "Bea"), *old])
    assert await rows(runtime, COPY) == [(2, "Bea", False)]


async def test_a_step_waits_until_it_is_sure_with_which_version_an_epoch_begins(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    await dispatcher.settle([story.tell("created"), *(story.tell("updated") for _ in range(4))])
    story.version, story.epoch = 2, 9
    third, fourth = story.tell("updated"), story.tell("updated")
    await dispatcher.settle([fourth])
    await dispatcher.settle([third])
    assert await dispatcher.release() == 0
    assert await rows(runtime, SEEN) == [(1,), (2,), (3,), (4,), (5,)]
    earlier = "update inbox set received_at = received_at - interval '1 minute' where state = 'waiting' returning epoch"
    assert await rows(runtime, earlier) == [(9,), (9,)]
    assert await dispatcher.start_late() == 1
    assert await dispatcher.release() == 1
    assert await intake.retries.retry_due() == 1
    assert await rows(runtime, SEEN) == [(1,), (2,), (3,), (4,), (5,), (3,), (4,)]
    await dispatcher.settle([Message.read(Story(story.id).body("updated", 6))])
    assert len(await rows(runtime, SEEN)) == 7


async def test_a_new_record_of_a_later_epoch_starts_at_its_first_version(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    story.epoch = 4
    created, updated = story.tell("created"), story.tell("updated")
    await dispatcher.settle([updated])
    await dispatcher.settle([created])
    assert await rows(runtime, SEEN) == [(1,), (2,)]


async def test_a_record_that_the_restored_publisher_never_had_stays_away_once_its_epoch_was_taken_up(
    dispatcher: Dispatcher, runtime: Runtime, story: Story
) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into inbox_bound (consumer, source, bound_at, epoch) select c, '/crm/mini', '2026-05-04T09:30Z', 5"
            " from unnest('{mini.copies,mini.journal}'::text[]) c"
        )
    await dispatcher.settle([story.tell("created", "from the lost future")])
    assert await rows(runtime, COPY) == []
    assert await rows(runtime, "select * from journal") == []
    here = Story(epoch=5)
    await dispatcher.settle([here.tell("created", "here")])
    assert await rows(runtime, COPY) == [(1, "here", False)]


def test_a_body_is_stamped_as_json_and_left_alone_in_the_first_epoch() -> None:
    assert outbox.stamped(b'{"id":1}', 0) == b'{"id":1}'
    assert orjson.loads(outbox.stamped(b'{"id":1}', 12)) == {"epoch": 12, "id": 1}
