"""All references to a merged record move to its survivor, each as a separate change, also under concurrent changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Index

from crm_kit.events.timers import TimerLoop, Timers
from crm_kit.process.runtime import Runtime
from crm_kit.records import moving
from crm_kit.store.record import Mergeable
from crm_kit.testing import counted
from crm_kit.work.uow import UnitOfWork
from crm_sales.merging.moving import MOVER
from crm_sales.tables import ENTITIES
from crm_sales.worker import TIMERS

from .journey import ADA, Json, Sales

MERGEABLE = [entity.entity() for entity in ENTITIES if issubclass(entity, Mergeable)]


async def work(runtime: Runtime) -> int:
    """Let the worker do the due work. Return the number of tasks that it started."""
    return await TimerLoop(TIMERS, runtime).fire_due()


async def tasks(runtime: Runtime) -> list[str]:
    """Return the merged records with tasks that are not finished."""
    async with runtime.db.autocommit() as conn:
        return [str(row[0]) for row in await conn.exec_driver_sql("select id from move_task")]


async def let_a_minute_pass(runtime: Runtime) -> None:
    """Make all started tasks a minute older."""
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "update move_task set opened_at = opened_at - interval '1 minute', due_at = due_at - interval '1 minute'"
        )


async def companies(sales: Sales) -> tuple[Json, Json]:
    return await sales.make("accounts", name="Engines Ltd"), await sales.make("accounts", name="Engines Limited")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three and two, so that a few records make many chunks."""
    monkeypatch.setattr(moving, "AT_ONCE", 3)
    monkeypatch.setattr(moving, "CHUNK", 2)


async def test_everything_that_refers_to_an_account_moves_with_an_event_of_its_own(sales: Sales) -> None:
    loser, survivor = await companies(sales)
    customer = {"type": "account", "id": loser["id"]}
    child = await sales.make("accounts", name="Branch", parent_account_id=loser["id"])
    contact = await sales.make("contacts", last_name="Byron", account_id=loser["id"])
    deal = await sales.make("opportunities", name="Fleet", customer=customer)
    lead = await sales.make("leads", **ADA)
    lead = await sales.act("leads", lead, "qualify", account_id=loser["id"], create_opportunity=False)
    before = len(await sales.events())
    await sales.merge("accounts", loser, survivor)
    told = {event["subject"]: event for event in (await sales.events())[before:]}
    assert (await sales.get("accounts", child["id"]))["parent_account_id"] == survivor["id"]
    assert (await sales.get("contacts", contact["id"]))["account_id"] == survivor["id"]
    assert (await sales.get("leads", lead["id"]))["account_id"] == survivor["id"]
    moved = await sales.get("opportunities", deal["id"])
    assert (moved["customer"]["id"], moved["customer"]["name"]) == (survivor["id"], "Engines Limited")
    assert moved["version"] == deal["version"] + 1
    event = told[deal["id"]]
    assert event["type"] == "crm.sales.opportunity.updated.v1"
    assert event["data"]["changed"]["customer"] == {
        "old": {"type": "account", "id": loser["id"], "name": "Engines Ltd", "deleted": False},
        "new": {"type": "account", "id": survivor["id"], "name": "Engines Limited", "deleted": False},
    }
    assert {event["correlationid"] for event in told.values()} == {event["correlationid"]}
    found = await sales.page("opportunities", f"customer.id={survivor['id']}")
    assert [one["id"] for one in found] == [deal["id"]]


async def test_everything_that_refers_to_a_contact_moves(sales: Sales) -> None:
    loser = await sales.make("contacts", last_name="Lovelace")
    survivor = await sales.make("contacts", last_name="King")
    account = await sales.make("accounts", name="Engines", primary_contact_id=loser["id"])
    deal = await sales.make("opportunities", name="Fleet", customer={"type": "contact", "id": loser["id"]})
    lead = await sales.make("leads", **ADA)
    lead = await sales.act("leads", lead, "qualify", contact_id=loser["id"], create_opportunity=False)
    await sales.merge("contacts", loser, survivor, fields=["last_name"])
    assert (await sales.get("accounts", account["id"]))["primary_contact_id"] == survivor["id"]
    assert (await sales.get("leads", lead["id"]))["contact_id"] == survivor["id"]
    moved = await sales.get("opportunities", deal["id"])
    assert (moved["customer"]["id"], moved["customer"]["name"]) == (survivor["id"], "Lovelace")
    [told] = [e for e in await sales.events() if e["subject"] == deal["id"] and e["type"].endswith("updated.v1")]
    assert told["data"]["record"]["customer"]["name"] == "Lovelace"


async def test_many_records_move_in_the_background_in_chunks_on_behalf_of_who_merged(
    sales: Sales, runtime: Runtime, small_chunks: None
) -> None:
    loser, survivor = await companies(sales)
    for n in range(10):
        await sales.make("contacts", last_name=f"Byron {n}", account_id=loser["id"])
    await sales.merge("accounts", loser, survivor)
    assert len(await sales.page("contacts", f"account_id={survivor['id']}")) == 3
    # Four chunks of two records, the last of which is not full, and a query that finds nothing more.
    assert await work(runtime) == 5
    assert len(await sales.page("contacts", f"account_id={survivor['id']}")) == 10
    moved = [event for event in await sales.events() if event["type"] == "crm.sales.contact.updated.v1"]
    assert len(moved) == len({event["subject"] for event in moved}) == 10
    [merged] = [event for event in await sales.events() if event["type"] == "crm.sales.account.merged.v1"]
    assert {(e["actor"], e["correlationid"]) for e in moved} == {(merged["actor"], merged["correlationid"])}


async def test_a_chunk_that_is_cut_off_before_its_commit_is_done_again_and_nothing_twice(
    sales: Sales, runtime: Runtime, small_chunks: None
) -> None:
    loser, survivor = await companies(sales)
    for n in range(9):
        await sales.make("contacts", last_name=f"Byron {n}", account_id=loser["id"])
    await sales.merge("accounts", loser, survivor)
    timers, chunks = Timers(), 0

    @timers.due("moves", MOVER.due)
    async def die_in_the_second(record_id: UUID, uow: UnitOfWork) -> None:
        nonlocal chunks
        chunks += 1
        await MOVER.go_on(record_id, uow)
        await uow.flush()
        if chunks == 2:
            raise RuntimeError("cut off")

    await TimerLoop(timers, runtime).fire_due()
    assert len(await sales.page("contacts", f"account_id={survivor['id']}")) == 5
    await work(runtime)
    found = await sales.page("contacts", f"account_id={survivor['id']}")
    assert [contact["version"] for contact in found] == [2] * 9


WAITING = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"


@asynccontextmanager
async def nobody_waits(runtime: Runtime) -> AsyncIterator[None]:
    """Fail if anything in the block waits for a lock."""
    over = asyncio.Event()

    async def watch() -> bool:
        async with runtime.db.autocommit() as conn:
            while not over.is_set():
                if (await conn.exec_driver_sql(WAITING)).scalar_one():
                    return True
                await asyncio.sleep(0.01)
        return False

    watching = asyncio.create_task(watch())
    yield
    over.set()
    assert not await watching, "somebody waited for a lock"


async def test_a_record_that_somebody_holds_is_not_waited_for_but_moved_later(sales: Sales, runtime: Runtime) -> None:
    loser, survivor = await companies(sales)
    contact = await sales.make("contacts", last_name="Byron", account_id=loser["id"])
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("select 1 from contact where id = $1 for update", (UUID(contact["id"]),))
        async with nobody_waits(runtime):
            await sales.merge("accounts", loser, survivor)
            await work(runtime)
        assert (await sales.get("contacts", contact["id"]))["account_id"] == loser["id"]
    await let_a_minute_pass(runtime)
    await work(runtime)
    assert (await sales.get("contacts", contact["id"]))["account_id"] == survivor["id"]


async def test_a_reference_that_was_written_just_after_the_merge_is_found_within_a_minute(
    sales: Sales, runtime: Runtime
) -> None:
    loser, survivor = await companies(sales)
    contact = await sales.make("contacts", last_name="Byron")
    await sales.merge("accounts", loser, survivor)
    await work(runtime)
    assert await tasks(runtime) == [loser["id"]]
    async with runtime.db.begin() as conn:
        # Like a command that read the account before the merge and commits after it.
        await conn.exec_driver_sql("update contact set account_id = $1", (UUID(loser["id"]),))
    await let_a_minute_pass(runtime)
    await work(runtime)
    assert (await sales.get("contacts", contact["id"]))["account_id"] == survivor["id"]
    assert await tasks(runtime) == []


async def test_a_survivor_cannot_be_deleted_while_records_are_on_their_way_to_it(
    sales: Sales, runtime: Runtime
) -> None:
    loser, survivor = await companies(sales)
    await sales.merge("accounts", loser, survivor)
    answer = await sales.delete("accounts", survivor)
    assert (answer.status, answer.problem) == (409, "in-use")
    await let_a_minute_pass(runtime)
    await work(runtime)
    assert (await sales.delete("accounts", survivor)).status == 204


async def test_what_is_on_its_way_to_an_account_that_is_merged_itself_goes_on_to_the_last_survivor(
    sales: Sales, runtime: Runtime, small_chunks: None
) -> None:
    first, second = await companies(sales)
    last = await sales.make("accounts", name="Analytical Engines")
    for n in range(8):
        await sales.make("contacts", last_name=f"Byron {n}", account_id=first["id"])
    await sales.merge("accounts", first, second)
    await sales.merge("accounts", second, last)
    await work(runtime)
    assert len(await sales.page("contacts", f"account_id={last['id']}")) == 8


async def test_a_deal_whose_customer_is_yet_to_move_raises_the_tier_of_the_survivor(
    sales: Sales, runtime: Runtime, small_chunks: None
) -> None:
    loser, survivor = await companies(sales)
    customer = {"type": "account", "id": loser["id"]}
    for n in range(3):
        await sales.make("contacts", last_name=f"Byron {n}", account_id=loser["id"])
    deal = await sales.make("opportunities", name="Fleet", customer=customer)
    await sales.merge("accounts", loser, survivor)
    assert (await sales.get("opportunities", deal["id"]))["customer"]["id"] == loser["id"]
    await sales.act("opportunities", deal, "win", actual_value={"amount": "1.00", "currency": "EUR"})
    assert (await sales.get("accounts", survivor["id"]))["tier"] == "standard"
    await work(runtime)
    assert (await sales.get("opportunities", deal["id"]))["customer"]["id"] == survivor["id"]
    loser_events = [event["entityversion"] for event in await sales.events() if event["subject"] == loser["id"]]
    assert loser_events == [1, 2]


async def test_moving_many_takes_no_statement_for_each(sales: Sales, runtime: Runtime) -> None:
    async def statements_for(count: int) -> int:
        loser, survivor = await companies(sales)
        for n in range(count):
            await sales.make("opportunities", name=f"Fleet {n}", customer={"type": "account", "id": loser["id"]})
        with counted(runtime.db) as statements:
            await sales.merge("accounts", loser, survivor)
        return len(statements)

    assert await statements_for(30) == await statements_for(2)


async def test_a_survivor_that_lies_below_the_loser_takes_its_place_in_the_tree(sales: Sales) -> None:
    top = await sales.make("accounts", name="Top")
    loser = await sales.make("accounts", name="Loser", parent_account_id=top["id"])
    between = await sales.make("accounts", name="Between", parent_account_id=loser["id"])
    survivor = await sales.make("accounts", name="Survivor", parent_account_id=between["id"])
    kept = await sales.merge("accounts", loser, survivor)
    assert kept["parent_account_id"] == top["id"]
    assert (await sales.get("accounts", between["id"]))["parent_account_id"] == survivor["id"]
    assert (await sales.delete("accounts", between)).status == 204


async def test_what_is_below_a_loser_that_lies_below_the_survivor_moves_up(sales: Sales) -> None:
    survivor = await sales.make("accounts", name="Survivor")
    loser = await sales.make("accounts", name="Loser", parent_account_id=survivor["id"])
    low = await sales.make("accounts", name="Low", parent_account_id=loser["id"])
    answer = await sales.try_merge("accounts", loser, survivor, fields=["parent_account_id"])
    assert (answer.status, answer.problem) == (422, "circular-parent")
    kept = await sales.merge("accounts", loser, survivor, fill_empty=True)
    assert kept["parent_account_id"] is None
    assert (await sales.get("accounts", low["id"]))["parent_account_id"] == survivor["id"]


async def test_a_merge_makes_no_tree_too_deep(sales: Sales) -> None:
    async def line(length: int) -> list[Json]:
        chain = [await sales.make("accounts", name="Root")]
        for n in range(length):
            chain.append(await sales.make("accounts", name=f"Level {n}", parent_account_id=chain[-1]["id"]))
        return chain

    short, long = await line(11), await line(40)
    answer = await sales.try_merge("accounts", long[0], short[11])
    assert (answer.status, answer.problem) == (422, "too-deep")
    await sales.merge("accounts", long[0], short[10])


async def test_an_account_whose_parent_is_yet_to_move_lies_below_the_survivor_already(
    sales: Sales, runtime: Runtime, small_chunks: None
) -> None:
    loser, survivor = await companies(sales)
    for n in range(5):
        await sales.make("accounts", name=f"Branch {n}", parent_account_id=loser["id"])
    await sales.merge("accounts", loser, survivor)
    waiting, *_ = await sales.page("accounts", f"parent_account_id={loser['id']}")
    answer = await sales.try_patch("accounts", survivor, parent_account_id=waiting["id"])
    assert (answer.status, answer.problem) == (422, "circular-parent")
    await work(runtime)
    assert len(await sales.page("accounts", f"parent_account_id={survivor['id']}")) == 5


def test_every_record_that_a_merge_changes_at_once_is_named_in_one_header() -> None:
    names = {referrer.entity.entity() for merged in MERGEABLE for referrer in MOVER.referrers(merged)}
    longest = f"{max(names, key=len)}/{UUID(int=0)}@1000000000, "
    # The size that proxies accept as one header, including nginx and our gateway.
    assert (moving.AT_ONCE + 2) * len(longest) < 8190


def test_every_column_that_moves_is_found_by_an_index() -> None:
    for merged in MERGEABLE:
        for referrer in MOVER.referrers(merged):
            table: Any = referrer.entity.__table__
            leading = {
                index.columns[0].name for index in table.indexes if isinstance(index, Index) and len(index.columns)
            }
            assert set(referrer.columns) <= leading, referrer
