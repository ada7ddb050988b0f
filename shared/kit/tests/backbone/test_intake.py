"""From the queue to the handlers: nothing lost when something dies, nothing handed back, nothing in the way of others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiormq
import pytest

from crm_kit.broker.messages import Delivery, outgoing
from crm_kit.broker.names import EVENTS, direct_key, replay_of
from crm_kit.broker.publishing import Publisher
from crm_kit.events import inbox
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import DEATHS, Intake
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id

from . import miniature
from .conftest import Story, WorkerProcess, rows, send, until

UNFINISHED = "select consumer, state from inbox where state <> 'done' order by 1, 2"


@asynccontextmanager
async def running(intake: Intake) -> AsyncIterator[None]:
    """The intake's loops, for as long as the block lasts."""
    tasks = [asyncio.create_task(work) for work in (intake.run(), intake.retries.run(), intake.run_parking())]
    try:
        yield
    finally:
        intake.stop()
        _, late = await asyncio.wait(tasks, timeout=10)
        assert not late


async def give_up(amqp_url: str, messages: int) -> None:
    """Let the broker move so many messages from the inbox queue to its dead letters."""
    connection = await aiormq.connect(amqp_url)
    channel = await connection.channel()
    for _ in range(messages):
        while not (message := await channel.basic_get("crm.mini.inbox")).delivery_tag:  # noqa: ASYNC110  # a broker's queue
            await asyncio.sleep(0.02)
        await channel.basic_reject(message.delivery_tag, requeue=False)
    await connection.close()


async def count(runtime: Runtime, table: str) -> int:
    [(found,)] = await rows(runtime, f"select count(*) from {table}")  # noqa: S608  # the tables of this file
    return int(found)


async def test_what_is_published_takes_effect(intake: Intake, runtime: Runtime, publisher: Publisher) -> None:
    stories = [Story() for _ in range(50)]
    await send(publisher, *(story.tell("created") for story in stories), *(story.tell("renamed") for story in stories))
    async with running(intake):
        await until(lambda: _equal(runtime, "echo", 50))
    assert await count(runtime, "seen") == 100
    assert await rows(runtime, UNFINISHED) == []


async def _equal(runtime: Runtime, table: str, expected: int) -> bool:
    return await count(runtime, table) == expected


async def test_a_replay_feeds_projections_and_repeats_no_act(
    intake: Intake, runtime: Runtime, publisher: Publisher, story: Story
) -> None:
    await send(
        publisher,
        story.tell("created"),
        story.tell("renamed"),
        exchange=replay_of("mini"),
        key=direct_key("crm.mini.inbox", "crm.mini.thing.updated.v1"),
    )
    async with running(intake):
        await until(lambda: _equal(runtime, "journal", 2))
    assert await count(runtime, "thing_copy") == 1
    assert await count(runtime, "seen") == 0


async def test_a_message_that_is_no_event_is_parked_and_the_next_one_handled(
    intake: Intake, runtime: Runtime, publisher: Publisher, story: Story
) -> None:
    garbage = outgoing(b"\xff\x00", "crm.mini.inbox.crm.mini.thing.garbage", message_id="not a uuid", headers={})
    event_id = str(new_id())
    headers = {"id": event_id, "type": "crm.mini.thing.created.v1", "source": "/crm/mini", "subject": str(new_id())}
    broken = outgoing(
        b'{"specversion":',
        "crm.mini.inbox.crm.mini.thing.created.v1",
        message_id=event_id,
        headers={**headers, "crm-version": 1},
    )
    await publisher.publish(replay_of("mini"), [garbage, broken])
    await send(publisher, story.tell("created"))
    async with running(intake):
        await until(lambda: _equal(runtime, "thing_copy", 1))
    expected = ["crm.mini.inbox", "mini.copies", "mini.echoes", "mini.journal"]
    assert await rows(runtime, UNFINISHED) == [(group, "parked") for group in expected]


async def test_what_the_broker_gave_up_on_is_parked_in_the_inbox(
    intake: Intake, runtime: Runtime, publisher: Publisher, amqp_url: str, story: Story
) -> None:
    await send(publisher, story.tell("created"))
    await give_up(amqp_url, 1)
    async with running(intake):
        await until(lambda: _equal(runtime, "inbox where state = 'parked'", 3))
    [(entity, version)] = await rows(runtime, "select distinct entity, entity_version from inbox")
    assert (entity, version) == (story.id, 1)


async def test_a_lost_database_is_waited_out_and_parks_nothing(
    intake: Intake, runtime: Runtime, publisher: Publisher
) -> None:
    stories = [Story() for _ in range(400)]
    async with running(intake):
        sending = asyncio.create_task(send(publisher, *(story.tell("created") for story in stories)))
        for _ in range(5):
            with suppress(Exception):  # the statement ends its own connection, too
                await rows(
                    runtime, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                )
            await asyncio.sleep(0.1)  # lets some batches through between two losses
        await sending
        await until(lambda: _survived(runtime, 400))
    assert await rows(runtime, UNFINISHED) == []
    assert await rows(runtime, "select count(*), count(distinct thing_id) from seen") == [(400, 400)]


async def _survived(runtime: Runtime, expected: int) -> bool:
    try:
        return await count(runtime, "seen") == expected
    except Exception:  # noqa: BLE001  # a pooled connection that was ended before is noticed here
        return False


@pytest.mark.parametrize("failpoint", ["inbox.before_commit:2", "inbox.after_commit:2"])
async def test_killed_around_the_commit_everything_still_happens_once(
    failpoint: str, runtime: Runtime, publisher: Publisher, worker: WorkerProcess
) -> None:
    stories = [Story() for _ in range(150)]
    await send(publisher, *(story.tell("created") for story in stories), *(story.tell("renamed") for story in stories))
    process = await worker.start(failpoint=failpoint)
    assert await asyncio.wait_for(process.wait(), 120) == 137
    await worker.start()
    await until(lambda: _equal(runtime, "inbox where consumer = 'mini.echoes' and state = 'done'", 300), seconds=150)
    assert await count(runtime, "echo") == 150
    orders: Any = await rows(runtime, "select array_agg(version order by position) from seen group by thing_id")
    assert orders == [([1, 2],)] * 150
    assert await rows(runtime, UNFINISHED) == []
    assert await worker.stop() == 0


async def test_a_handler_that_kills_the_process_is_parked_and_all_else_is_done(
    runtime: Runtime, publisher: Publisher, worker: WorkerProcess
) -> None:
    stories = [Story() for _ in range(30)]
    told = [story.tell("created", "deadly" if n == 15 else "harmless") for n, story in enumerate(stories)]
    await send(publisher, *told)
    deaths = 0

    async def finished() -> bool:
        return await count(runtime, "inbox where state = 'parked'") == 1 and await count(runtime, "seen") == 29

    for _ in range(DEATHS + 3):
        process = await worker.start()
        ended, settled = asyncio.ensure_future(process.wait()), asyncio.ensure_future(until(finished, seconds=120))
        await asyncio.wait([ended, settled], return_when=asyncio.FIRST_COMPLETED)
        if settled.done():
            settled.result()
            break
        settled.cancel()
        deaths += 1
        assert ended.result() == 137
    assert deaths == DEATHS + 1
    assert await rows(runtime, UNFINISHED) == [("mini.echoes", "parked")]
    assert await count(runtime, "thing_copy") == 30
    assert await count(runtime, "journal") == 30
    assert await worker.stop() == 0


async def test_an_operators_retry_is_handled_at_once(
    intake: Intake, runtime: Runtime, publisher: Publisher, story: Story
) -> None:
    message: Message = story.tell("created", "poison step")
    async with running(intake):
        await send(publisher, message)
        await until(lambda: _equal(runtime, "inbox where state = 'pending'", 1))
        await rows(
            runtime,
            "update inbox set body = convert_to(replace(convert_from(body, 'utf8'), 'poison step', 'cured'), 'utf8'),"
            " next_attempt_at = received_at where state = 'pending' returning 1",
        )
        runtime.notifier.notify(inbox.CHANNEL)
        await until(lambda: _equal(runtime, "seen", 1), seconds=120)


def again(message: Message) -> Delivery:
    """A message as the broker delivers it when whoever had it is gone."""
    type_ = message.envelope.type
    headers = {"id": str(message.envelope.id), "type": type_, "source": message.envelope.source}
    return Delivery(message.body, EVENTS, type_, str(message.envelope.id), type_, headers, redelivered=True, tag=1)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold the step's first attempt: the first event tells that it is under way, the second lets it go on."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def hold(events: Any, uow: Any) -> None:
        if not begun.is_set():
            begun.set()
            await go_on.wait()
        await miniature.echo(events, uow)

    handlers = miniature.consumers.groups["mini.echoes"].handlers
    monkeypatch.setitem(handlers, "crm.mini.thing.created.v1", [hold])
    return begun, go_on


@pytest.mark.parametrize("behind", [False, True])
async def test_what_a_killed_process_had_noted_is_taken_over_from_a_batch(
    behind: bool, dispatcher: Dispatcher, amqp_url: str, runtime: Runtime, held: tuple[asyncio.Event, asyncio.Event]
) -> None:
    """Also where the group's events are set aside."""
    killed, busy = Intake(dispatcher, amqp_url), Intake(dispatcher, amqp_url)
    noted, other = Story().tell("created"), Story().tell("created")
    first = asyncio.create_task(killed._take([again(noted)]))
    await held[0].wait()
    first.cancel()
    await asyncio.wait([first])
    if behind:
        busy.retries.behind.add("mini.echoes")
    await busy._take([again(noted), again(other)])
    while await busy.retries.retry_due():
        pass
    assert await rows(runtime, UNFINISHED) == []
    assert await rows(runtime, "select count(*), count(distinct thing_id) from seen") == [(2, 2)]
    assert await count(runtime, "journal") == 2


async def test_what_another_process_still_handles_is_taken_over_and_happens_once(
    dispatcher: Dispatcher, amqp_url: str, runtime: Runtime, held: tuple[asyncio.Event, asyncio.Event]
) -> None:
    """It lost its connection to the broker, not its life."""
    slow, busy = Intake(dispatcher, amqp_url), Intake(dispatcher, amqp_url)
    noted, other = Story().tell("created"), Story().tell("created")
    first = asyncio.create_task(slow._take([again(noted)]))
    await held[0].wait()
    await busy._take([again(noted), again(other)])
    second = asyncio.create_task(busy.retries.retry_due())
    await until(lambda: _waits_for_a_lock(runtime))
    held[1].set()
    await asyncio.gather(first, second)
    while await busy.retries.retry_due():
        pass
    assert await rows(runtime, UNFINISHED) == []
    assert await rows(runtime, "select count(*), count(distinct thing_id) from seen") == [(2, 2)]


async def _waits_for_a_lock(runtime: Runtime) -> bool:
    waiting = (
        "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
    )
    return await rows(runtime, waiting) == [(True,)]
