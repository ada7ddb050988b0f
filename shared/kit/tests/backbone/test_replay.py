"""Snapshots: a queue that joins late ends up with what the source has."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.broker.consuming import Session
from crm_kit.broker.names import SNAPSHOT_REQUEST
from crm_kit.broker.publishing import Publisher
from crm_kit.events import inbox, replay
from crm_kit.events.consumers import Consumers
from crm_kit.events.intake import Intake
from crm_kit.events.relay import Relay
from crm_kit.events.replay import Row, Snapshots, request_snapshot
from crm_kit.operating import events_command, sending
from crm_kit.operating.events_to_queue import Broker
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_local.servers import Servers

from .conftest import rows, until
from .miniature import consumers
from .test_relay import make_things, rename

DIFFERING = """
select count(*) from thing t full join thing_copy c using (id)
where t.name is distinct from c.name or t.version is distinct from c.version
"""


async def page_things(conn: AsyncConnection, after: UUID | None, limit: int) -> Sequence[Row]:
    sql = "select id, version, name, created_at, modified_at from thing where $1::uuid is null or id > $1 order by id limit $2"
    found = (await conn.exec_driver_sql(sql, (after, limit))).all()
    return [
        Row(
            id=row.id,
            version=row.version,
            owner_id=None,
            business_unit=None,
            record={**row._mapping, "created_by": None, "modified_by": None},
        )
        for row in found
    ]


def snapshots_of(runtime: Runtime, amqp_url: str) -> Snapshots:
    return Snapshots("mini", runtime, consumers, {"thing": page_things}, amqp_url)


async def test_an_operator_sends_every_record_to_one_queue(runtime: Runtime, amqp_url: str, intake: Intake) -> None:
    things = await make_things(runtime, 1200)
    await rename(runtime, things[0], "renamed")
    async with runtime.db.begin() as conn:
        await sending.snapshot(conn, ["thing"], "crm.mini.inbox")
    assert await snapshots_of(runtime, amqp_url).serve_one()
    consuming = asyncio.create_task(intake.run())
    await until(lambda: _copied(runtime, 1200))
    intake.stop()
    await consuming
    assert await rows(runtime, DIFFERING) == [(0,)]
    assert await rows(runtime, "select count(*) from seen") == [(0,)]
    assert await rows(runtime, "select sent, error from snapshot_request") == [(1200, None)]


async def _copied(runtime: Runtime, count: int) -> bool:
    return await rows(runtime, "select count(*) from thing_copy") == [(count,)]


async def test_a_snapshot_to_nowhere_says_so(runtime: Runtime, amqp_url: str) -> None:
    await make_things(runtime, 1)
    async with runtime.db.begin() as conn:
        await sending.snapshot(conn, ["thing"], "crm.nowhere")
    assert await snapshots_of(runtime, amqp_url).serve_one()
    [(error, done)] = await rows(runtime, "select error, done_at is not null from snapshot_request")
    assert (error, done) == ("queue crm.nowhere is not there, or does not hear thing", True)


async def test_the_command_waits_until_all_is_sent_and_says_what_was_not(
    runtime: Runtime, amqp_url: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await make_things(runtime, 3)
    snapshots = snapshots_of(runtime, amqp_url)
    serving = asyncio.create_task(snapshots.run())

    def ask(types: str, queue: str) -> int:
        command = ["snapshot", "--from", "mini", "--types", types, "--to", queue]
        return events_command.main(command, {"mini": database_url})

    async with asyncio.timeout(120):
        codes = [
            await asyncio.to_thread(ask, *asked)
            for asked in (("thing", "crm.mini.inbox"), ("thing,thign", "crm.mini.inbox"), ("thing", "crm.nowhere"))
        ]
        snapshots.stop()
        await serving
    printed = capsys.readouterr()
    assert codes == [0, 1, 1]
    assert [line for line in printed.out.splitlines() if line.startswith("sent ")] == [
        f"sent {n} records" for n in (3, 0)
    ]
    unknown, deaf = printed.err.splitlines()
    assert unknown.startswith("mini has no thign; nothing was asked for.")
    assert deaf == "queue crm.nowhere is not there, or does not hear thing"


@pytest.mark.parametrize(("asker", "sent"), [("an operator", 0), ("mini", 2)])
async def test_an_entity_that_is_not_there_is_told_before_any_record_is_sent(
    runtime: Runtime, amqp_url: str, asker: str, sent: int
) -> None:
    """But a service of the next release gets what there is."""
    await make_things(runtime, 2)
    async with runtime.db.begin() as conn:
        await request_snapshot(
            conn, id_=new_id(), entities=["thing", "gadget"], queue="crm.mini.inbox", requested_by=asker
        )
    assert await snapshots_of(runtime, amqp_url).serve_one()
    assert await rows(runtime, "select sent, error from snapshot_request") == [(sent, "mini has no gadget")]


async def test_the_command_asks_for_nothing_that_the_queue_does_not_hear(
    runtime: Runtime, amqp_url: str, servers: Servers, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(amqp_url, str(servers.amqp_management_url))
    command = ["snapshot", "--from", "mini", "--types", "thing,echo", "--to", "crm.mini.inbox", "--no-wait"]
    assert await asyncio.to_thread(events_command.main, command, {"mini": database_url}, broker) == 1
    assert capsys.readouterr().err == "queue crm.mini.inbox does not hear echo; nothing was asked for\n"
    assert await rows(runtime, "select count(*) from snapshot_request") == [(0,)]


async def test_a_queue_that_is_not_there_is_told(
    runtime: Runtime, amqp_url: str, servers: Servers, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(amqp_url, str(servers.amqp_management_url))
    command = ["snapshot", "--from", "mini", "--types", "thing", "--to", "crm.nowhere"]
    assert await asyncio.to_thread(events_command.main, command, {"mini": database_url}, broker) == 1
    assert capsys.readouterr().err.startswith("there is no queue crm.nowhere in the vhost ")


@pytest.mark.parametrize(
    ("period", "told"),
    [
        (("--since", "2199-05-04T00:00:00Z"), "--since 2199-05-04T00:00:00Z is in the future"),
        (("--since", "1h", "--until", "2h"), "--until is not after --since"),
    ],
)
def test_a_replay_of_a_period_without_events_says_why(
    period: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["replay", "--from", "mini", *period, "--to", "ext.partner.orders"]
    nowhere = Broker("amqp://127.0.0.1:1/", "http://127.0.0.1:1")
    assert events_command.main(command, {"mini": "postgresql://127.0.0.1:1/none"}, nowhere) == 1
    assert capsys.readouterr().err.startswith(told)


async def test_a_new_group_asks_for_what_it_needs_once(runtime: Runtime, amqp_url: str) -> None:
    async with runtime.db.begin() as conn:
        await inbox.remember_bound(conn, [("mini.copies", "/crm/mini"), ("mini.echoes", "/crm/mini")])
    snapshots = snapshots_of(runtime, amqp_url)
    await snapshots.request_missing()
    await snapshots.request_missing()
    async with asyncio.timeout(120), Session(amqp_url, "crm.mini.inbox", name="test", prefetch=10) as session:
        [request] = await session.batch(10)
        assert request.type == SNAPSHOT_REQUEST
        await snapshots.accept(request)
        await snapshots.accept(request)
    assert await rows(runtime, "select entities, queue from snapshot_request") == [(["thing"], "crm.mini.inbox")]


async def _asked(runtime: Runtime) -> bool:
    return bool(await rows(runtime, "select 1 from inbox_bound where snapshot_requested_at is not null"))


async def test_a_running_service_repeats_the_requests_that_an_operator_lets_it_repeat(
    runtime: Runtime, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "REQUEST_SECONDS", 0.01)
    async with runtime.db.begin() as conn:
        await inbox.remember_bound(conn, [("mini.copies", "/crm/mini")])
    snapshots = snapshots_of(runtime, amqp_url)
    requesting = asyncio.create_task(snapshots.keep_requesting())
    async with asyncio.timeout(120), Session(amqp_url, "crm.mini.inbox", name="test", prefetch=10) as session:
        assert [request.type for request in await session.batch(10)] == [SNAPSHOT_REQUEST]
        await until(lambda: _asked(runtime))
        await rows(runtime, "update inbox_bound set snapshot_requested_at = null returning 1")
        assert [request.type for request in await session.batch(10)] == [SNAPSHOT_REQUEST]
    snapshots.stop()
    await requesting


async def test_joining_while_others_write_misses_and_invents_nothing(
    runtime: Runtime, amqp_url: str, intake: Intake, publisher: Publisher
) -> None:
    """Records from before the binding, changes before, during and after the snapshot."""
    things = await make_things(runtime, 300)
    await rows(runtime, "update outbox set state = 'published' returning 1")  # before the queue was bound
    relay = Relay("mini", runtime.db, publisher, runtime.notifier)
    snapshots = snapshots_of(runtime, amqp_url)
    running = [asyncio.create_task(work) for work in (relay.run(), intake.run(), snapshots.run())]

    async def write() -> None:
        for n in range(300):
            await rename(runtime, things[n % 60], f"name {n}")

    writing = asyncio.create_task(write())
    async with runtime.db.begin() as conn:
        await sending.snapshot(conn, ["thing"], "crm.mini.inbox")
    await writing

    async def equal() -> bool:
        return await rows(runtime, DIFFERING) == [(0,)]

    await until(equal)
    for part in (relay, intake, snapshots):
        part.stop()
    await asyncio.wait_for(asyncio.gather(*running), 120)
    assert await _copied(runtime, 300)


def test_only_projections_of_records_need_snapshots() -> None:
    assert {g.name: [e.name for e in g.snapshot_entities("mini")] for g in consumers.groups.values()} == {
        "mini.copies": ["thing"],
        "mini.journal": [],
        "mini.echoes": [],
    }
    assert Consumers("none").sources() == ()
