"""After a restore exactly those events go out again that were in a queue when the backup was taken."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from crm_kit import clock
from crm_kit.events import inbox
from crm_kit.events.consumers import Consumers
from crm_kit.events.deferred import Failure, claim_due, store
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.operating import redelivery
from crm_kit.operating.redelivery import Listener
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id

from .conftest import Story, rows
from .miniature import acting, consumers, keyless

GROUPS = ("mini.copies", "mini.echoes", "mini.journal", "mini.told")
DAYS_OF_KEYS = 120
PENDING = "select id from outbox where state = 'pending' order by seq"


class Restored:
    """A database after a restore, with a broker that holds nothing."""

    def __init__(self, conn: asyncpg.Connection, other: asyncpg.Connection, runtime: Runtime) -> None:
        self._conn, self._other, self._runtime = conn, other, runtime
        self.now = clock.now()

    async def published(self, message: Message, *, hours_ago: float = 0, state: str = "published") -> UUID:
        """Have the outbox know an event as published then."""
        at, envelope = self.now - timedelta(hours=hours_ago), message.envelope
        await self._conn.execute(
            "insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, created_at, published_at,"
            " state) values ($1, 0, 'thing', $2, $3, $4, $5, $6, $6, $7)",
            envelope.id,
            envelope.subject,
            envelope.entityversion,
            envelope.type,
            message.body,
            at,
            state,
        )
        return envelope.id

    async def bound(self, at: datetime) -> None:
        """Have every group listen since then."""
        async with self._runtime.db.begin() as conn:
            await inbox.remember_bound(conn, [(group, "/crm/mini") for group in GROUPS])
        await self._conn.execute("update inbox_bound set bound_at = $1, snapshot_requested_at = $1", at)

    async def sent_again(self, heard_by: Consumers = consumers, *, rebuilt: bool = False) -> list[UUID]:
        """What the relay will send after the restore."""
        await redelivery.take_up(self._conn)
        listeners = {"mini": Listener(self._other, heard_by)}
        since = redelivery.keys_since(self.now, DAYS_OF_KEYS)
        again = await redelivery.resend(self._conn, "mini", listeners, since=since, rebuilt=rebuilt)
        found = [row[0] for row in await rows(self._runtime, PENDING)]
        assert again.count == len(found)
        return found


@pytest.fixture
async def restored(database_url: str, runtime: Runtime) -> AsyncIterator[Restored]:
    conn, other = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    yield Restored(conn, other, runtime)
    await conn.close()
    await other.close()


async def test_what_every_group_has_stored_stays_and_what_one_lacks_goes_again(
    restored: Restored, dispatcher: Dispatcher
) -> None:
    await restored.bound(restored.now - timedelta(days=9))
    first, second, third = (Story().tell("created") for _ in range(3))
    for message in (first, second, third):
        await restored.published(message, hours_ago=1)
    await dispatcher.settle([first])
    await dispatcher.settle([second], [consumers.groups["mini.copies"], consumers.groups["mini.journal"]])
    assert await restored.sent_again() == [second.envelope.id, third.envelope.id]


async def test_what_the_rows_of_projections_have_stays_and_what_they_lack_goes_again(
    restored: Restored, runtime: Runtime
) -> None:
    """No key tells of it: a copy does by its version, a row per event by its id, and what failed is stored."""
    dispatcher = Dispatcher(keyless, runtime)
    await restored.bound(restored.now - timedelta(days=9))
    known, behind, lacking = Story(), Story(), Story()
    stored = Story().tell("created", "poison projection")
    told = [known.tell("created"), known.tell("updated"), behind.tell("created"), behind.tell("updated")]
    told += [lacking.tell("created"), stored]
    for message in told:
        await restored.published(message, hours_ago=1)
    await dispatcher.settle([told[1]], [keyless.groups["mini.copies"]])
    await dispatcher.settle(told[:2], [keyless.groups["mini.told"], keyless.groups["mini.echoes"]])
    await dispatcher.settle([told[2], stored])
    await dispatcher.settle([told[3]], [keyless.groups["mini.echoes"], keyless.groups["mini.told"]])
    assert await restored.sent_again(keyless) == [told[3].envelope.id, told[4].envelope.id]


async def test_copies_that_are_rebuilt_ask_for_nothing(restored: Restored) -> None:
    await restored.bound(restored.now - timedelta(days=9))
    created, renamed = Story().tell("created"), Story().tell("renamed")
    for message in (created, renamed):
        await restored.published(message, hours_ago=1)
    assert await restored.sent_again(acting, rebuilt=True) == [renamed.envelope.id]


async def test_a_step_in_any_order_lacks_only_what_it_acts_on(restored: Restored, runtime: Runtime) -> None:
    await restored.bound(restored.now - timedelta(days=9))
    story = Story()
    created, first, second = story.tell("created"), story.tell("renamed"), story.tell("renamed")
    for message in (created, first, second):
        await restored.published(message, hours_ago=1)
    await Dispatcher(acting, runtime).settle([created, first])
    await Dispatcher(acting, runtime).settle([second], [acting.groups["mini.copies"]])
    await rows(runtime, "delete from outbox where entity_type = 'echo' returning 1")
    assert await restored.sent_again(acting) == [second.envelope.id]


async def test_a_copy_made_of_a_snapshot_says_nothing_of_what_came_before_its_group_listened(
    restored: Restored, runtime: Runtime
) -> None:
    await restored.bound(restored.now - timedelta(hours=1))
    old, gone = Story(), Story().tell("created")
    created, updated = old.tell("created"), old.tell("updated")
    for message, hours_ago in ((created, 9.0), (gone, 8.0), (updated, 0.5)):
        await restored.published(message, hours_ago=hours_ago)
    copies = keyless.groups["mini.copies"]
    await Dispatcher(keyless, runtime).settle([updated], [copies])
    only_copies = Consumers("mini")
    only_copies.groups["mini.copies"] = copies
    assert await restored.sent_again(only_copies) == []


async def test_what_was_skipped_or_came_before_a_group_listened_stays(
    restored: Restored, dispatcher: Dispatcher
) -> None:
    await restored.bound(restored.now - timedelta(hours=1))
    await restored.published(Story().tell("created"), hours_ago=50)
    await restored.published(Story().tell("created"), hours_ago=3, state="skipped")
    heard = Story().tell("created")
    await restored.published(heard, hours_ago=2)
    await dispatcher.settle([heard])
    queued = await restored.published(Story().tell("created"))
    assert await restored.sent_again() == [queued]


async def test_what_is_older_than_the_keys_of_handled_events_stays(restored: Restored, dispatcher: Dispatcher) -> None:
    """One that is parked is older than all keys, and does not say that all events after it are lacking."""
    await restored.bound(restored.now - timedelta(days=300))
    parked = Story().tell("created", "poison step")
    await restored.published(parked, hours_ago=200 * 24)
    await dispatcher.settle([parked])
    await restored.published(Story().tell("created"), hours_ago=150 * 24)
    queued = await restored.published(Story().tell("created"), hours_ago=1)
    assert await restored.sent_again() == [queued]


async def test_of_an_entity_that_nobody_heard_of_all_goes_that_came_since_the_groups_listen(restored: Restored) -> None:
    await restored.bound(restored.now - timedelta(hours=1))
    await restored.published(Story().tell("created"), hours_ago=2)
    queued = await restored.published(Story().tell("created"), hours_ago=0.5)
    assert await restored.sent_again() == [queued]


async def test_a_group_that_never_ran_is_sent_nothing(restored: Restored) -> None:
    await restored.published(Story().tell("created"), hours_ago=2)
    assert await restored.sent_again() == []


async def test_what_failed_on_its_way_is_due_at_once(restored: Restored, runtime: Runtime) -> None:
    """The broker held the message while it was handled, and would have delivered it again."""
    message = Story().tell("created")
    key = inbox.EventKey("mini.copies", "/crm/mini", message.envelope.id)
    noted = Failure(key, message.envelope.subject, 1, message.envelope.type, message.body, "pending", 1, None, "died")
    async with runtime.db.begin() as conn:
        await store(conn, [noted])
    assert await restored.sent_again() == []
    async with runtime.db.begin() as conn:
        assert [claimed[0] for claimed in await claim_due(conn, "mini.copies", 10, 1.0)] == [key]


@pytest.mark.parametrize(("hours_ago", "again"), [(0, True), (9, False)])
async def test_a_snapshot_that_may_be_on_its_way_is_sent_again(
    hours_ago: float, again: bool, restored: Restored, runtime: Runtime, dispatcher: Dispatcher
) -> None:
    await restored.bound(restored.now - timedelta(days=9))
    heard = Story().tell("created")
    await restored.published(heard, hours_ago=0.5)
    await dispatcher.settle([heard])
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into snapshot_request (id, entities, queue, requested_at, requested_by, sent, done_at)"
            " values ($1, '{thing}', 'crm.mini.inbox', $2, 'mini', 5, $2)",
            (new_id(), restored.now - timedelta(hours=hours_ago)),
        )
    await restored.sent_again()
    [(open_,)] = await rows(runtime, "select done_at is null from snapshot_request")
    assert open_ is again


async def test_a_request_for_a_snapshot_that_never_arrived_is_made_again(restored: Restored, runtime: Runtime) -> None:
    await restored.bound(restored.now - timedelta(hours=1))
    await restored.sent_again()
    assert await rows(runtime, "select count(snapshot_requested_at) from inbox_bound") == [(0,)]


async def test_a_subscribers_queue_gets_what_it_held_and_an_hour_more(restored: Restored, database_url: str) -> None:
    for hours_ago in (9, 7, 5, 3, 1):
        await restored.published(Story().tell("created"), hours_ago=hours_ago)
    conn = await asyncpg.connect(database_url)
    try:
        heard = [(conn, ["crm.mini.thing.created.v1"])]
        [since] = await redelivery.backlog_since(heard, 2, restored.now)
        assert since == restored.now - timedelta(hours=3)
        [since] = await redelivery.backlog_since(heard, 0, restored.now - timedelta(hours=2))
        assert since == restored.now - timedelta(hours=1)
        assert await redelivery.backlog_since([(conn, ["crm.mini.thing.deleted.v1"])], 2, restored.now) == [None]
    finally:
        await conn.close()
