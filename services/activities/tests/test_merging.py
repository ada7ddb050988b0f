"""Activities about a merged record move to its survivor, each with its own event."""

from typing import Any

import pytest

from crm_activities.activity.types import TYPES
from crm_activities.attachment.model import Attachment
from crm_activities.merging import MOVER
from crm_activities.note.model import Note
from crm_activities.worker import TIMERS
from crm_contracts.catalogue import Event, event_for
from crm_kit.access.privileges import Principal
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.records import moving
from crm_kit.store.record import new_id
from crm_kit.testing import Client, announced, principal

API = "/api/v1"
CALLER = new_id()
KINDS = ("lead", "account", "contact")


@pytest.fixture
def caller() -> Principal:
    return principal(id=CALLER)


def fact(kind: str, name: str) -> type[Event]:
    event = event_for(f"crm.sales.{kind}.{name.lower()}.v1")
    assert event is not None
    return event


async def twins(kind: str, story: Any, hear: Any) -> tuple[Any, Any]:
    loser, survivor = story(), story()
    await hear(loser.tell(fact(kind, "Created")), survivor.tell(fact(kind, "Created")))
    return loser, survivor


async def task_about(client: Client, kind: str, record: Any, subject: str = "Call") -> dict[str, Any]:
    body = {"subject": subject, "regarding": {"type": kind, "id": str(record.id)}}
    made = await client.post(f"{API}/tasks", body)
    assert made.status == 201, made.body
    return dict(made.json)


async def about(client: Client, record: Any) -> list[str]:
    found = (await client.get(f"{API}/activities?regarding.id={record.id}&sort=created_at")).json["items"]
    return [item["subject"] for item in found]


async def work(runtime: Runtime) -> int:
    return await TimerLoop(TIMERS, runtime).fire_due()


async def let_a_minute_pass(runtime: Runtime) -> None:
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "update move_task set opened_at = opened_at - interval '1 minute', due_at = due_at - interval '1 minute'"
        )


@pytest.mark.parametrize("kind", KINDS)
async def test_activities_of_every_type_and_status_move_to_the_survivor(
    client: Client, story: Any, hear: Any, runtime: Runtime, kind: str
) -> None:
    loser, survivor = await twins(kind, story, hear)
    task = await task_about(client, kind, loser, "Done")
    assert (await client.post(f"{API}/tasks/{task['id']}/complete")).status == 200
    call = {"subject": "Talk", "direction": "outgoing", "regarding": {"type": kind, "id": str(loser.id)}}
    assert (await client.post(f"{API}/phone-calls", call)).status == 201
    await hear(merged := loser.tell(fact(kind, "Merged"), survivor_id=survivor.id))
    assert await about(client, loser) == []
    assert await about(client, survivor) == ["Done", "Talk"]
    moved = (await client.get(f"{API}/tasks/{task['id']}")).json
    assert (moved["regarding"]["id"], moved["status"], moved["version"]) == (str(survivor.id), "completed", 3)
    async with runtime.db.autocommit() as conn:
        told = [event for event in await announced(conn) if event["type"].endswith(".updated.v1")]
    assert sorted(event["type"].split(".")[2] for event in told) == ["phone_call", "task"]
    assert {event["causationid"] for event in told} == {str(merged.envelope.id)}


@pytest.mark.parametrize("kind", KINDS)
async def test_who_took_part_in_a_call_is_the_survivor_afterwards(
    client: Client, story: Any, hear: Any, runtime: Runtime, kind: str
) -> None:
    loser, survivor = await twins(kind, story, hear)
    party = {"type": kind, "id": str(loser.id)}
    parties = [{"role": "to", "party": party}, {"role": "from", "party": party, "name": "Front desk"}]
    call = {
        "subject": "Talk",
        "direction": "outgoing",
        "parties": [*parties, {"role": "to", "address": "+491701234567"}],
    }
    made = (await client.post(f"{API}/phone-calls", call)).json
    other = (await client.post(f"{API}/phone-calls", {**call, "parties": call["parties"][2:]})).json
    await hear(loser.tell(fact(kind, "Merged"), survivor_id=survivor.id))
    moved = (await client.get(f"{API}/phone-calls/{made['id']}")).json
    assert [one["party"] and one["party"]["id"] for one in moved["parties"]] == [*[str(survivor.id)] * 2, None]
    assert [one["name"] for one in moved["parties"][1:]] == ["Front desk", None]
    assert moved["version"] == 2
    assert (await client.get(f"{API}/phone-calls/{other['id']}")).json["version"] == 1
    async with runtime.db.autocommit() as conn:
        [told] = [event for event in await announced(conn) if event["type"].endswith(".updated.v1")]
    assert told["data"]["record"]["parties"] == moved["parties"]
    assert told["data"]["changed"] == {"parties": {"changed": True}}


async def test_a_merge_that_its_publisher_lost_in_a_restore_moves_nothing(
    client: Client, story: Any, hear: Any, runtime: Runtime
) -> None:
    loser, survivor = await twins("account", story, hear)
    await task_about(client, "account", loser)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update record_ref set epoch = 7 where id = $1", (loser.id,))
    await hear(loser.tell(fact("account", "Merged"), survivor_id=survivor.id))
    assert await about(client, loser) == ["Call"]
    async with runtime.db.autocommit() as conn:
        assert (await conn.exec_driver_sql("select count(*) from move_task")).scalar_one() == 0


async def test_a_merge_that_is_lost_after_its_move_began_moves_nothing_more_and_ends(
    client: Client, story: Any, hear: Any, runtime: Runtime, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "AT_ONCE", 1)
    loser, survivor = await twins("account", story, hear)
    for subject in ("First", "Second"):
        await task_about(client, "account", loser, subject)
    await hear(loser.tell(fact("account", "Merged"), survivor_id=survivor.id))
    assert await about(client, loser) == ["Second"]
    async with runtime.db.begin() as conn:
        # This is how a rebuild leaves the copy after sales was restored to a point before the merge.
        await conn.exec_driver_sql("update record_ref set epoch = 7, merged_into = null where id = $1", (loser.id,))
    await work(runtime)
    assert await rows("select id from move_task") == []
    assert await about(client, loser) == ["Second"]


async def test_the_merge_of_a_later_epoch_takes_the_place_of_one_that_was_lost(
    client: Client, story: Any, hear: Any, runtime: Runtime, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "AT_ONCE", 1)
    loser, survivor = await twins("account", story, hear)
    other, _ = await twins("account", story, hear)
    for subject in ("First", "Second", "Third"):
        await task_about(client, "account", loser, subject)
    await hear(loser.tell(fact("account", "Merged"), survivor_id=survivor.id))
    loser.version, loser.epoch = 1, 7
    await hear(loser.tell(fact("account", "Merged"), survivor_id=other.id))
    assert await rows("select target_id, epoch from move_task") == [(other.id, 7)]
    await work(runtime)
    assert await about(client, survivor) == ["First"]
    assert await about(client, other) == ["Second", "Third"]


async def test_a_merge_that_is_told_twice_moves_once(client: Client, story: Any, hear: Any) -> None:
    loser, survivor = await twins("lead", story, hear)
    task = await task_about(client, "lead", loser)
    merged = loser.tell(fact("lead", "Merged"), survivor_id=survivor.id)
    await hear(merged, merged)
    await hear(merged)
    assert (await client.get(f"{API}/tasks/{task['id']}")).json["version"] == 2


@pytest.mark.parametrize("later_first", [False, True])
async def test_a_chain_of_merges_ends_at_the_last_survivor_in_whatever_order_it_is_heard(
    client: Client, story: Any, hear: Any, runtime: Runtime, later_first: bool
) -> None:
    first, second = await twins("account", story, hear)
    last, _ = await twins("account", story, hear)
    await task_about(client, "account", first)
    told = [
        first.tell(fact("account", "Merged"), survivor_id=second.id),
        second.tell(fact("account", "Merged"), survivor_id=last.id),
    ]
    for message in reversed(told) if later_first else told:
        await hear(message)
    await work(runtime)
    assert await about(client, last) == ["Call"]


async def test_many_activities_move_in_chunks_and_one_that_comes_late_is_found(
    client: Client, story: Any, hear: Any, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "AT_ONCE", 2)
    monkeypatch.setattr(moving, "CHUNK", 2)
    loser, survivor = await twins("contact", story, hear)
    for n in range(6):
        await task_about(client, "contact", loser, f"Call {n}")
    late = await task_about(client, "contact", survivor, "Late")
    await hear(loser.tell(fact("contact", "Merged"), survivor_id=survivor.id))
    assert len(await about(client, loser)) == 4
    await work(runtime)
    assert len(await about(client, survivor)) == 7
    async with runtime.db.begin() as conn:
        # Like a command that read the contact before the merge was known here, and that commits afterwards.
        await conn.exec_driver_sql("update task set regarding_id = $1 where id = $2", (loser.id, late["id"]))
    await let_a_minute_pass(runtime)
    await work(runtime)
    assert await about(client, loser) == []


async def test_a_task_stays_open_until_new_references_are_refused(
    client: Client, story: Any, hear: Any, runtime: Runtime, dispatcher: Any, rows: Any
) -> None:
    loser, survivor = await twins("lead", story, hear)
    steps = [group for name, group in dispatcher.consumers.groups.items() if name == "activities.merges"]
    merged = loser.tell(fact("lead", "Merged"), survivor_id=survivor.id)
    await dispatcher.settle([merged], steps)
    await let_a_minute_pass(runtime)
    await work(runtime)
    # The copy does not know the merge yet, so an activity about the merged lead can still be created.
    await task_about(client, "lead", loser)
    assert await rows("select id from move_task") == [(loser.id,)]
    await hear(merged)
    await let_a_minute_pass(runtime)
    await work(runtime)
    assert await about(client, survivor) == ["Call"]
    await work(runtime)
    assert await rows("select id from move_task") == []


def test_every_type_of_activity_moves() -> None:
    for merged in ("lead", "account", "contact"):
        assert {referrer.entity for referrer in MOVER.referrers(merged)} == {*TYPES.values(), Attachment, Note}
