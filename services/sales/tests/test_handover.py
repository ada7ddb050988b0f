"""When an owner is removed, sales counts the records or gives them to the recipient, each as a separate change."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_kit.access.privileges import Principal
from crm_kit.events.timers import TimerLoop, Timers
from crm_kit.process.runtime import Runtime
from crm_kit.records import handing_over
from crm_kit.testing import People, principal
from crm_kit.testing.removals import Removal
from crm_sales.handover import HANDOVER
from crm_sales.worker import TIMERS

from .conftest import Hear
from .journey import ADA, Json, Sales

MINUTE, DAYS = timedelta(minutes=1), timedelta(days=2)


@pytest.fixture
def caller() -> Principal:
    """Ada, with all rights, who is going to leave."""
    return principal(id=uuid4())


async def work(runtime: Runtime) -> int:
    """Let another worker do what is due. Return the number of chunks and looks."""
    timers = Timers([timer for timer in TIMERS.timers if timer.name == "handovers"])
    return await TimerLoop(timers, runtime).fire_due()


async def let_time_pass(runtime: Runtime, span: timedelta) -> None:
    """Make the handovers older."""
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "update sales_handover set created_at = created_at - $1::interval, due_at = due_at - $1::interval", (span,)
        )


async def handover(runtime: Runtime) -> dict[str, Any]:
    async with runtime.db.autocommit() as conn:
        found = await conn.exec_driver_sql("select status, owned, moved, due_at is null as rests from sales_handover")
        return dict(found.mappings().one())


async def a_few_records(sales: Sales) -> dict[str, Json]:
    """An account, a contact, a deal and a lead of the caller, and a lead that was merged into it."""
    account = await sales.make("accounts", name="Engines Ltd")
    deal = await sales.make("opportunities", name="Fleet", customer={"type": "account", "id": account["id"]})
    lead, twin = await sales.make("leads", **ADA), await sales.make("leads", **ADA)
    await sales.merge("leads", twin, lead)
    contact = await sales.make("contacts", last_name="Byron", account_id=account["id"])
    return {"accounts": account, "opportunities": deal, "leads": lead, "contacts": contact}


async def test_the_records_of_an_owner_are_counted(
    sales: Sales, caller: Principal, hear: Hear, runtime: Runtime
) -> None:
    await a_few_records(sales)
    removal = Removal(caller.id)
    before = len(await sales.events())
    await hear(removal.asked())
    assert await handover(runtime) == {"status": "counted", "owned": 4, "moved": 0, "rests": True}
    [told] = (await sales.events())[before:]
    assert (told["type"], told["data"]["record"]["owned"]) == ("crm.sales.sales_handover.created.v1", 4)
    assert (told["actor"], told["data"]["record"]["removal_id"]) == (f"user:{removal.asker}", str(removal.id))
    await hear(removal.refused())
    await let_time_pass(runtime, DAYS)
    assert await work(runtime) == 0
    assert await handover(runtime) == {"status": "canceled", "owned": 4, "moved": 0, "rests": True}


async def test_all_records_get_their_new_owner_in_chunks_with_an_event_each(
    sales: Sales, caller: Principal, hear: Hear, runtime: Runtime, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_over, "CHUNK", 3)
    unit = await people.unit("Vienna")
    grace = await people.user("Grace Hopper", unit=unit)
    records = await a_few_records(sales)
    removal = Removal(caller.id, to=grace)
    before = len(await sales.events())
    await hear(removal.asked())
    assert await handover(runtime) == {"status": "moving", "owned": 4, "moved": 0, "rests": False}
    assert await work(runtime) == 3
    told = (await sales.events())[before:]
    moved = {event["subject"]: event for event in told if event["type"].endswith(".assigned.v1")}
    assert moved.keys() == {record["id"] for record in records.values()}
    for collection, record in records.items():
        now = await sales.get(collection, record["id"])
        assert (now["owner_id"], now["owner_name"], now["business_unit_id"]) == (str(grace), "Grace Hopper", str(unit))
        event = moved[record["id"]]
        assert event["data"]["previous_owner"]["owner_id"] == str(caller.id)
        assert event["data"]["new_owner"]["owner_id"] == event["ownerid"] == str(grace)
        assert (event["actor"], event["correlationid"]) == (f"user:{removal.asker}", str(removal.id))
    progress = [event["data"]["record"]["moved"] for event in told if ".sales_handover." in event["type"]]
    assert progress == [0, 3, 4]
    assert (await handover(runtime))["status"] == "moving"
    await let_time_pass(runtime, MINUTE)
    assert await work(runtime) == 1
    assert await handover(runtime) == {"status": "completed", "owned": 4, "moved": 4, "rests": True}
    # Another service may need days. A team still works then, so the looks for late records begin with the removal.
    late = await sales.make("leads", **ADA)
    await let_time_pass(runtime, DAYS)
    assert await work(runtime) == 0
    await hear(removal.completed())
    await let_time_pass(runtime, DAYS)
    assert await work(runtime) > 0
    assert (await sales.get("leads", late["id"]))["owner_id"] == str(grace)


async def test_a_locked_record_moves_later(
    sales: Sales, caller: Principal, hear: Hear, runtime: Runtime, people: People
) -> None:
    grace = await people.user("Grace Hopper")
    lead = await sales.make("leads", **ADA)
    await hear(Removal(caller.id, to=grace).asked())
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("select from lead where id = $1 for update", (UUID(lead["id"]),))
        await let_time_pass(runtime, MINUTE)
        assert await work(runtime) == 1
    assert await handover(runtime) == {"status": "moving", "owned": 1, "moved": 0, "rests": False}
    await let_time_pass(runtime, MINUTE)
    await work(runtime)
    assert (await sales.get("leads", lead["id"]))["owner_id"] == str(grace)


async def test_a_record_that_turns_up_after_the_removal_goes_to_whoever_asked_for_it(
    sales: Sales, caller: Principal, hear: Hear, runtime: Runtime, people: People
) -> None:
    grace = await people.user("Grace Hopper")
    removal = Removal(caller.id, asker=grace)
    await hear(removal.asked())
    late = await sales.make("leads", **ADA)
    await hear(removal.completed())
    for _ in range(2):
        await let_time_pass(runtime, DAYS)
        assert await work(runtime) > 0
    assert (await sales.get("leads", late["id"]))["owner_id"] == str(grace)
    for _ in handing_over.LOOKS:
        await let_time_pass(runtime, DAYS)
        await work(runtime)
    assert await handover(runtime) == {"status": "completed", "owned": 1, "moved": 1, "rests": True}


async def test_the_records_go_on_to_whoever_got_those_of_the_recipient(
    sales: Sales, caller: Principal, hear: Hear, runtime: Runtime, people: People
) -> None:
    grace, heir = await people.user("Grace Hopper", deleted=True, active=False), await people.user("Emmy Noether")
    lead = await sales.make("leads", **ADA)
    gone = Removal(grace, to=heir)
    await hear(gone.asked(), gone.completed())
    await hear(Removal(caller.id, to=grace).asked())
    await work(runtime)
    assert (await sales.get("leads", lead["id"]))["owner_id"] == str(heir)


async def test_a_handover_without_a_recipient_ends(
    sales: Sales, caller: Principal, hear: Hear, runtime: Runtime, people: People
) -> None:
    one, other = [await people.user(name, deleted=True, active=False) for name in ("Grace Hopper", "Emmy Noether")]
    for owner, heir in ((one, other), (other, one)):
        circle = Removal(owner, to=heir)
        await hear(circle.asked(), circle.completed())
    removal = Removal(caller.id, to=one)
    await hear(removal.asked(), removal.completed())
    for _ in range(len(handing_over.LOOKS) + 1):
        await let_time_pass(runtime, DAYS)
        await work(runtime)
    async with runtime.db.autocommit() as conn:
        assert (
            await conn.exec_driver_sql("select count(*) from sales_handover where due_at is not null")
        ).scalar() == 0


async def test_an_event_that_comes_again_after_a_restore_changes_nothing(
    caller: Principal, hear: Hear, runtime: Runtime
) -> None:
    removal = Removal(caller.id)
    await hear(removal.asked())
    removal.version = 4
    await hear(removal.asked())
    assert (await handover(runtime))["status"] == "counted"


def test_every_kind_of_record_with_an_owner_is_handed_over() -> None:
    names = {entity.entity() for entity in HANDOVER.owned}
    assert {"lead", "account", "contact", "opportunity", "quote", "order", "invoice", "goal", "competitor"} <= names
