"""Cases of a merged customer move to the survivor."""

from typing import Any

import pytest

from crm_kit.access.privileges import Depth
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.records import moving
from crm_kit.testing import principal
from crm_service_mgmt.case.model import Case
from crm_service_mgmt.merging import MOVER
from crm_service_mgmt.worker import TIMERS

from .conftest import Hear, Rows
from .desk import Customer, Desk


async def work(runtime: Runtime) -> int:
    return await TimerLoop(TIMERS, runtime).fire_due()


async def twins(hear: Hear, kind: str = "contact") -> tuple[Customer, Customer]:
    loser, survivor = Customer(kind, "Ada Lovelace"), Customer(kind, "Ada King")
    await hear(loser.created(), survivor.created())
    return loser, survivor


async def test_cases_of_every_status_move_with_an_event_of_their_own(desk: Desk, hear: Hear) -> None:
    loser, survivor = await twins(hear)
    resolved = await desk.act(await desk.open(customer=loser.ref), "resolve")
    named = await desk.open(contact_id=str(loser.id))
    both = await desk.open(customer=loser.ref, contact_id=str(loser.id))
    before = len(await desk.events())
    await hear(merged := loser.merged(survivor))
    told = (await desk.events())[before:]
    assert {event["subject"] for event in told} == {resolved["id"], named["id"], both["id"]}
    assert {event["type"] for event in told} == {"crm.service.case.updated.v1"}
    assert {event["causationid"] for event in told} == {str(merged.envelope.id)}
    shown = {"type": "contact", "id": str(survivor.id), "name": "Ada King", "deleted": False}
    assert (await desk.get(resolved))["customer"] == shown
    assert (await desk.get(named))["contact_id"] == str(survivor.id)
    moved = await desk.get(both)
    assert (moved["customer"], moved["contact_id"], moved["version"]) == (shown, str(survivor.id), 2)


async def test_cases_of_an_account_move_too(desk: Desk, hear: Hear) -> None:
    loser, survivor = await twins(hear, "account")
    case = await desk.open(customer=loser.ref)
    await hear(loser.merged(survivor))
    assert (await desk.get(case))["customer"]["id"] == str(survivor.id)


async def test_a_merged_customer_takes_no_new_case_and_the_survivor_is_named_to_who_may_read_it(
    desk: Desk, desk_for: Any, hear: Hear
) -> None:
    loser, survivor = await twins(hear)
    await hear(loser.merged(survivor))
    refused = await desk.try_open(customer=loser.ref)
    assert (refused.status, refused.problem) == (422, "merged-reference")
    assert refused.json["errors"][0]["pointer"] == "/customer/id"
    assert refused.json["survivor"]["href"] == f"/api/v1/contacts/{survivor.id}"
    refused = await desk_for(principal(Depth.USER, id=loser.owner)).try_open(customer=loser.ref)
    assert (refused.problem, "survivor" in refused.json) == ("merged-reference", False)
    refused = await desk_for(principal(Depth.USER)).try_open(customer=loser.ref)
    assert refused.problem == "unknown-reference"


async def test_a_snapshot_of_a_merged_customer_refuses_cases_as_the_merge_does(desk: Desk, hear: Hear) -> None:
    loser, survivor = Customer("contact", "Ada Lovelace", version=4), Customer("contact", "Ada King")
    await hear(survivor.created(), loser.tell("Snapshot", survivor_id=str(survivor.id)))
    assert (await desk.try_open(customer=loser.ref)).problem == "merged-reference"


async def test_many_cases_move_in_chunks(
    desk: Desk, hear: Hear, runtime: Runtime, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "AT_ONCE", 2)
    monkeypatch.setattr(moving, "CHUNK", 2)
    loser, survivor = await twins(hear)
    for _ in range(7):
        await desk.open(customer=loser.ref)
    await hear(loser.merged(survivor))
    assert await rows('select count(*) from "case" where customer_id = $1', survivor.id) == [(2,)]
    await work(runtime)
    assert await rows('select distinct customer_id, version from "case"') == [(survivor.id, 2)]


def test_every_column_that_moves_is_found_by_an_index() -> None:
    table: Any = Case.__table__
    leading = {index.columns[0].name for index in table.indexes if len(index.columns)}
    for merged in ("account", "contact"):
        for referrer in MOVER.referrers(merged):
            assert set(referrer.columns) <= leading
