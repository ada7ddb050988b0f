"""An unreadable payload, a handler that always raises, and a handler that kills the process hold up no other events."""

import asyncio
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.operating import events_command
from crm_kit.testing.figures import Figures
from crm_kit.testing.issuer import Issuer

from .conftest import Drive
from .driver import Driver, deal_story, mixed_story
from .faulty_activities import KILLS, RAISES
from .judging import GROUPS, WON, calm, read_effects
from .machines import Machines
from .processes import Member, Nursery
from .stage import Stage, a_stage, until

CREATED = "crm.sales.lead.created.v1"


async def parked(stage: Stage, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the output of ``crm events parked --json``."""
    arguments = ["parked", "--json"]
    databases = {"activities": stage.database_url("activities")}
    capsys.readouterr()
    assert await asyncio.to_thread(events_command.main, arguments, databases) == 0
    return [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]


async def count_parked(stage: Stage) -> int:
    async with stage.connect("activities") as conn:
        count: int = await conn.fetchval("select count(*) from inbox where state = 'parked'")
    return count


async def parks(stage: Stage, count: int, *, seconds: float = 120) -> float:
    async def enough() -> bool:
        return await count_parked(stage) >= count

    return await until(enough, f"{count} parked", seconds=seconds)


async def publish(stage: Stage, type_: str, event_id: UUID, body: bytes) -> None:
    """Publish like a relay, whatever the body."""
    headers = {"id": str(event_id), "type": type_, "source": "/crm/sales", "subject": str(uuid4()), "crm-version": 1}
    publisher = Publisher(stage.amqp_url, name="poisoner")
    try:
        message = outgoing(body, type_, message_id=str(event_id), headers=headers)
        assert await publisher.publish(EVENTS, [message]) == [Outcome.CONFIRMED]
    finally:
        await publisher.close()


async def spoilt(stage: Stage, type_: str, event_id: UUID, *fields: str) -> bytes:
    """Return the first event of an unknown record, with these fields of a real record and no others."""
    async with stage.connect("sales") as conn:
        body = await conn.fetchval("select body from outbox where type = $1 limit 1", type_)
    envelope = orjson.loads(body)
    envelope |= {"id": str(event_id), "subject": str(uuid4()), "entityversion": 1}
    true = {**envelope["data"]["record"], "id": envelope["subject"], "version": 1}
    envelope["data"] = {"changed": {}, "record": {field: true[field] for field in fields}}
    return orjson.dumps(envelope)


async def test_a_payload_that_cannot_be_read_is_parked_and_nothing_waits_for_it(
    stage: Stage, drive: Drive, figures: Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not JSON, an envelope without a record, and a record of which a rule can make nothing."""
    api, *_ = await stage.started(("sales", "api"), ("sales", "worker"), ("activities", "worker"))
    async with drive(api.url) as driver:
        await driver.tell(mixed_story, 2)
        await calm(stage)
        garbage, empty, strange = uuid4(), uuid4(), uuid4()
        await publish(stage, CREATED, garbage, b"\xff no JSON")
        await publish(stage, CREATED, empty, await spoilt(stage, CREATED, empty))
        await publish(stage, WON, strange, await spoilt(stage, WON, strange, "id", "version", "created_at"))
        await driver.tell(mixed_story, 5)
    await calm(stage)
    expected = {*product(GROUPS, (garbage, empty)), ("activities.follow_up", strange)}
    seconds = await parks(stage, len(expected))
    shown = await parked(stage, capsys)
    effects = await read_effects(stage)
    figures(poisonous=3, parked=len(shown), within_seconds=seconds, expected=effects.expected, handled=effects.handled)
    assert {(entry["group"], UUID(entry["event_id"])) for entry in shown} == expected
    assert all(entry["error"] for entry in shown)
    effects.parked = 0  # Checked above.
    assert effects.exactly_once, effects
    async with stage.connect("activities") as conn:
        run = await conn.fetchrow("select state, error from activity_rule_run where event_id = $1", strange)
    assert (run["state"], run["error"]) == ("failed", "The record has no owner. Name an owner in the rule.")


async def provoke(driver: Driver, group: str) -> dict[str, Any]:
    """Create a lead that the group's handler fails on, and its later events."""
    lead = await driver.command("/leads", {"topic": f"{group} is provoked", "last_name": "Fault"})
    return await driver.command(f"/leads/{lead['id']}/contact")


async def states_of(stage: Stage, lead: dict[str, Any]) -> dict[tuple[str, int], str]:
    """Return the outcome of each group and version of a lead, by the inbox or by the rows of projections."""
    async with stage.connect("activities") as conn:
        rows = await conn.fetch("select * from inbox where entity = $1", UUID(lead["id"]))
        copy = await conn.fetchval("select version from record_ref where id = $1", UUID(lead["id"]))
        told = await conn.fetch("select version from timeline_event where record_id = $1", UUID(lead["id"]))
    states = {(row["consumer"], row["entity_version"]): row["state"] for row in rows}
    states |= {("activities.refs", version): "done" for version in range(1, (copy or 0) + 1)}
    return states | {("activities.timeline", row["version"]): "done" for row in told}


async def test_a_handler_that_always_raises_parks_one_record_of_one_group_until_an_operator_decides(
    stage: Stage, drive: Drive, figures: Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    await stage.started(("sales", "worker"))
    api = stage.member("sales", "api")
    activities = stage.member("activities", "worker", module="faulty_activities")
    await asyncio.gather(api.start(), activities.start())
    async with drive(api.url) as driver:
        lead = await provoke(driver, RAISES)
        await driver.tell(mixed_story, 5)
    seconds = await parks(stage, 1)
    await calm(stage)
    [entry] = await parked(stage, capsys)
    states = await states_of(stage, lead)
    figures(attempts=entry["attempts"], parked_after_seconds=seconds)
    assert (entry["group"], entry["version"]) == (RAISES, 1)
    assert "LookupError" in entry["error"]
    assert "is provoked" not in str(entry), "what an operator lists holds no value of the record"
    assert states[RAISES, 2] == "waiting", "order holds: what came later does not overtake"
    assert {states[group, version] for group in (*GROUPS, KILLS) for version in (1, 2)} == {"done"}
    effects = await read_effects(stage)
    assert (effects.handled, effects.stored, effects.parked) == (effects.expected, 1, 1), "all others are done"

    skip = ["skip", entry["event_id"], "--group", RAISES, "--reason", "known bug, the copy does not matter"]
    databases = {"activities": stage.database_url("activities")}
    assert await asyncio.to_thread(events_command.main, skip, databases) == 0

    async def went_on() -> bool:
        return (await states_of(stage, lead))[RAISES, 2] == "done"

    await until(went_on, "what waited behind the skipped event goes on")
    assert (await states_of(stage, lead))[RAISES, 1] == "skipped"


@pytest.mark.parametrize("delivery_limit", [3, 20])
async def test_a_handler_that_kills_the_process_is_given_up_and_all_else_is_done(
    nursery: Nursery,
    own_machines: Machines,
    issuer: Issuer,
    tmp_path: Path,
    drive: Drive,
    figures: Figures,
    capsys: pytest.CaptureFixture[str],
    delivery_limit: int,
) -> None:
    """With a low limit the broker gives up first, otherwise the worker, which records each attempt before it starts."""
    async with a_stage(own_machines, nursery, issuer, tmp_path, delivery_limit=delivery_limit) as stage:
        await stage.started(("sales", "worker"))
        api = stage.member("sales", "api")
        activities = stage.member("activities", "worker", module="faulty_activities")
        await asyncio.gather(api.start(), activities.start())
        async with activities.supervised(), drive(api.url) as driver:
            lead = await provoke(driver, KILLS)
            await driver.tell(deal_story, 5)
            seconds = await parks(stage, 1, seconds=120)
            await calm(stage)
            shown = await parked(stage, capsys)
        await judge_deaths(stage, lead, activities, shown)
        figures(delivery_limit=delivery_limit, deaths=len(activities.deaths), parked_after_seconds=seconds)


async def judge_deaths(stage: Stage, lead: dict[str, Any], activities: Member, shown: list[dict[str, Any]]) -> None:
    """Check that one group gave up one event, and that no other group and no other record lost anything."""
    states = await states_of(stage, lead)
    assert KILLS in {entry["group"] for entry in shown}
    assert states[KILLS, 1] == "parked"
    assert states[KILLS, 2] == "waiting"
    assert {states[group, version] for group in (*GROUPS, RAISES) for version in (1, 2)} == {"done"}
    assert len(shown) == 1
    assert set(activities.deaths) == {139}
    effects = await read_effects(stage)
    assert (effects.handled, effects.stored, effects.parked) == (effects.expected, 1, 1)
