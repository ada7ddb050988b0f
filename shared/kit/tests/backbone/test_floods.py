"""A flood that one group cannot take: others do not wait for it, it costs statements by the batch, and nothing is lost."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from crm_kit import clock
from crm_kit.broker.publishing import Publisher
from crm_kit.events import deferred
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.intake import Intake
from crm_kit.events.received import Message
from crm_kit.events.retries import BATCH
from crm_kit.process.runtime import Runtime

from . import miniature
from .conftest import Story, rows, send, until
from .test_intake import running

STATES = (
    "select consumer, state, attempts, count(*)::int from inbox where state <> 'done' group by 1, 2, 3 order by 1, 2, 3"
)


@contextmanager
def statements_of(runtime: Runtime) -> Iterator[list[str]]:
    """The statements that SQLAlchemy sends meanwhile; the hot ones on the driver are as many for one event as for a hundred."""
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    engine = runtime.db.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each transaction had."""
    sizes: list[int] = []
    transaction = Dispatcher._transaction

    async def counted(self: Dispatcher, concerned: Any, work: Any) -> None:
        sizes.append(len({message for message, _ in concerned}))
        await transaction(self, concerned, work)

    monkeypatch.setattr(Dispatcher, "_transaction", counted)
    return sizes


def flood(count: int, name: str) -> list[Message]:
    return [Story().tell("created", name) for _ in range(count)]


def illegible(count: int) -> list[Message]:
    return [Message.read(m.body.replace(b'"name":"a name"', b'"name":7')) for m in flood(count, "a name")]


async def test_other_groups_do_not_wait_for_the_one_that_fails(
    intake: Intake, runtime: Runtime, publisher: Publisher
) -> None:
    """Not at all: the retries, which find out over which events it fails, do not even run here."""
    good = Story()
    await send(publisher, *flood(250, "poison step"), good.tell("created"))
    consuming = asyncio.create_task(intake.run())
    try:
        await until(lambda: _count(runtime, "thing_copy", 251))
        await until(lambda: _count(runtime, "journal", 251))
    finally:
        intake.stop()
        await consuming
    untried = "select distinct consumer from inbox where state = 'pending' and attempts = 0"
    assert await rows(runtime, untried) == [("mini.echoes",)]
    assert await rows(runtime, "select count(*)::int from inbox where consumer = 'mini.echoes'") == [(251,)]


async def test_what_was_set_aside_is_sorted_out_by_the_retries(
    intake: Intake, runtime: Runtime, publisher: Publisher
) -> None:
    good = [Story() for _ in range(60)]
    told = [*flood(240, "poison step"), *(story.tell("created") for story in good)]
    random.Random(3).shuffle(told)
    await send(publisher, *told)
    async with running(intake):
        await until(lambda: _count(runtime, "seen", 60))
        await until(lambda: _count(runtime, "inbox where state = 'pending' and attempts = 1", 240))
    assert await rows(runtime, "select count(*), count(distinct thing_id) from seen") == [(60, 60)]
    assert await rows(runtime, STATES) == [("mini.echoes", "pending", 1, 240)]


async def test_a_batch_that_fails_costs_statements_by_the_batch(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, transactions: list[int]
) -> None:
    with statements_of(runtime) as sent:
        assert await dispatcher.take(flood(BATCH, "poison step")) == {"mini.echoes"}
    assert transactions == [BATCH, BATCH], "once without savepoints, once with one for each group"
    assert len([s for s in sent if "insert into inbox " in s or "update inbox" in s]) <= 4
    transactions.clear()
    with statements_of(runtime) as sent:
        assert await intake.retries.retry_due() == BATCH
    assert transactions == [BATCH], "whichever fail, they are found in one transaction"
    assert len([s for s in sent if "update inbox" in s]) == 3, "two claims, and one for all failures"
    assert await rows(runtime, STATES) == [("mini.echoes", "pending", 1, BATCH)]


async def test_what_no_handler_can_read_is_parked_without_asking_one(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, transactions: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def counted(events: Any, uow: Any) -> None:
        nonlocal calls
        calls += 1
        await miniature.keep_journal(events, uow)

    monkeypatch.setitem(miniature.consumers.groups["mini.journal"].handlers, "crm.mini.thing.created.v1", [counted])
    good = Story()
    assert len(await dispatcher.take([*illegible(BATCH - 1), good.tell("created")])) == 3
    calls = 0
    transactions.clear()
    assert await intake.retries.retry_due() == 3 * BATCH
    assert transactions == [BATCH] * 3
    assert calls == 1, "for the good one"
    parked = [(group, "parked", 1, BATCH - 1) for group in ("mini.copies", "mini.echoes", "mini.journal")]
    assert await rows(runtime, STATES) == parked
    assert await rows(runtime, "select thing_id from seen") == [(good.id,)]


async def test_failures_in_any_order_of_arrival_keep_each_records_order(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime
) -> None:
    """Three times each and shuffled: what comes before a failure runs once, what comes after waits, others do not notice."""
    failing, fine = [Story() for _ in range(12)], [Story() for _ in range(12)]
    told = []
    for story in (*failing, *fine):
        bad = story in failing
        told += [
            story.tell("created" if n == 0 else "renamed", "poison step" if bad and n == 2 else "x") for n in range(6)
        ]
    deliveries = told * 3
    random.Random(11).shuffle(deliveries)
    for start in range(0, len(deliveries), 31):
        await dispatcher.take(deliveries[start : start + 31])
        if start % 3 == 0:
            await intake.retries.retry_due()
    while await intake.retries.retry_due() or await dispatcher.release():
        pass
    seen = dict(await rows(runtime, "select thing_id, array_agg(version order by position) from seen group by 1"))
    assert [seen[story.id] for story in failing] == [[1, 2]] * 12
    assert [seen[story.id] for story in fine] == [[1, 2, 3, 4, 5, 6]] * 12
    assert await rows(runtime, "select count(*), count(distinct event_id) from journal") == [(144, 144)]
    held = "select state, count(*)::int from inbox where state <> 'done' group by 1 order by 1"
    assert await rows(runtime, held) == [("pending", 12), ("waiting", 36)]
    await rows(
        runtime,
        "update inbox set next_attempt_at = $1,"
        " body = convert_to(replace(convert_from(body, 'utf8'), 'poison step', 'cured'), 'utf8')"
        " where state = 'pending' returning 1",
        clock.now(),
    )
    while await intake.retries.retry_due() or await dispatcher.release():
        pass
    seen = dict(await rows(runtime, "select thing_id, array_agg(version order by position) from seen group by 1"))
    assert set(map(tuple, seen.values())) == {(1, 2, 3, 4, 5, 6)}
    assert await rows(runtime, STATES) == []


async def test_what_breaks_its_contract_waits_behind_what_may_still_succeed(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    """Parked before its turn, it would have been skipped with what came before it."""
    first, second = story.tell("created", "poison step"), story.tell("renamed")
    await dispatcher.take([first, Message.read(second.body.replace(b'"name":"a name"', b'"name":7'))])
    await intake.retries.retry_due()
    states = "select entity_version, state from inbox where consumer = 'mini.echoes' order by 1"
    assert await rows(runtime, states) == [(1, "pending"), (2, "waiting")]


async def test_what_may_have_ended_the_process_is_tried_alone(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, transactions: list[int]
) -> None:
    await dispatcher.set_aside(flood(8, "a name"), [miniature.consumers.groups["mini.echoes"]])
    suspected = "update inbox set last_error = $1 where event_id in (select event_id from inbox limit 3) returning 1"
    assert len(await rows(runtime, suspected, deferred.ENDED)) == 3
    tried = []
    while await intake.retries.retry_due():
        tried.append(transactions.copy())
        transactions.clear()
    assert tried == [[5, 1], [1], [1]]
    assert await rows(runtime, "select count(*) from seen") == [(8,)]


async def test_retries_of_one_group_do_not_queue_behind_anothers(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime
) -> None:
    groups = miniature.consumers.groups
    await dispatcher.set_aside(flood(3 * BATCH, "poison step"), [groups["mini.echoes"]])
    await dispatcher.set_aside(flood(1, "a name"), [groups["mini.journal"]])
    assert await intake.retries.retry_due() == BATCH + 1
    assert await rows(runtime, "select count(*) from journal") == [(1,)]


DUE = """
insert into inbox (consumer, source, event_id, type, state, next_attempt_at, last_error, received_at)
select 'mini.echoes', '/crm/mini', gen_random_uuid(), 'x', 'pending', $1::timestamptz - n * interval '1 second', 'poison', $1
from generate_series(1, 5000) n returning 1
"""


@pytest.mark.parametrize("analyzed", [True, False])
async def test_a_backlog_is_not_read_for_each_look_at_it(
    analyzed: bool, runtime: Runtime, dispatcher: Dispatcher
) -> None:
    """Nor for the suspects, of which there are none, nor for a group that has little behind one that has much."""
    await rows(runtime, DUE, clock.now())
    await dispatcher.set_aside(flood(1, "a name"), [miniature.consumers.groups["mini.journal"]])
    if analyzed:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("analyze inbox")
    now, waits = clock.now(), [10.0]
    groups = ["mini.copies", "mini.echoes", "mini.journal"]
    assert sorted(await _due(runtime, groups)) == ["mini.echoes", "mini.journal"]
    assert await _read(runtime, deferred._DUE, now, groups) <= 3
    for group, of_all, of_suspects in (("mini.echoes", BATCH, 0), ("mini.journal", 1, 0), ("mini.copies", 0, 0)):
        assert await _read(runtime, deferred._CLAIM_SUSPECTS, now, 1, waits, group) <= 2 * of_suspects
        assert await _read(runtime, deferred._CLAIM, now, BATCH, waits, group) <= 2 * of_all


async def test_whether_anything_waits_is_found_beside_all_that_is_parked(runtime: Runtime) -> None:
    told = (
        "insert into inbox (consumer, source, event_id, type, state, received_at)"
        " select $1, '/crm/mini', gen_random_uuid(), 't', $2, $3 from generate_series(1, $4::int) returning 1"
    )

    async def any_stored(*groups: str) -> bool:
        async with runtime.db.autocommit() as conn:
            return await deferred.any_stored(conn, list(groups))

    for group in ("mini.copies", "mini.echoes"):
        await rows(runtime, told, group, "parked", clock.now(), 3000)
    await rows(runtime, told, "mini.copies", "done", clock.now(), 3000)
    assert not await any_stored("mini.copies", "mini.echoes")
    assert await _read(runtime, deferred._ANY, ["mini.copies", "mini.echoes"]) == 0
    for state, group in (("pending", "mini.copies"), ("waiting", "mini.echoes")):
        await rows(runtime, told, group, state, clock.now(), 1)
        assert await any_stored(group)
        assert await _read(runtime, deferred._ANY, ["mini.copies", "mini.echoes"]) <= 2
        assert not await any_stored("mini.journal")
        await rows(runtime, "delete from inbox where state = $1 returning 1", state)


async def _due(runtime: Runtime, groups: list[str]) -> list[str]:
    async with runtime.db.autocommit() as conn:
        return await deferred.due_groups(conn, groups)


async def _read(runtime: Runtime, statement: str, *parameters: Any) -> int:
    """How many rows of the inbox a statement reads when it runs."""
    async with runtime.db.begin() as conn:
        explained = await conn.exec_driver_sql(f"explain (analyze, format json) {statement}", parameters)
        told: Any = explained.scalar_one()
    return _of_inbox(json.loads(told)[0]["Plan"] if isinstance(told, str) else told[0]["Plan"])


def _of_inbox(node: dict[str, Any]) -> int:
    read = 0
    if node.get("Relation Name") == "inbox" and "Scan" in node["Node Type"]:
        each = (
            node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        )
        read = round(each * node["Actual Loops"])
    return read + sum(_of_inbox(child) for child in node.get("Plans", ()))


async def test_setting_aside_forgets_nothing_that_was_done(
    dispatcher: Dispatcher, intake: Intake, runtime: Runtime, story: Story
) -> None:
    told = [story.tell("created"), story.tell("renamed")]
    await dispatcher.take(told[:1])
    await dispatcher.set_aside(told, miniature.consumers.groups.values())
    while await intake.retries.retry_due():
        pass
    assert await rows(runtime, "select version from seen order by position") == [(1,), (2,)]
    assert await rows(runtime, "select count(*), count(distinct event_id) from journal") == [(2, 2)]
    assert await rows(runtime, STATES) == []


async def _count(runtime: Runtime, what: str, expected: int) -> bool:
    return await rows(runtime, f"select count(*)::int from {what}") == [(expected,)]  # noqa: S608  # of this file
