"""Sales contracts: drafted, activated for a period, and ended by command, by time or by termination."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import InvalidValue
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import People, counted, principal
from crm_sales.sales_contract.commands import past_their_end
from crm_sales.sales_contract.domain import require_order, require_period
from crm_sales.sales_contract.model import SalesContract
from crm_sales.worker import TIMERS

from .journey import API, Json, Sales, euros
from .plans import plan_of

PERIOD = {"start_date": "2090-01-01", "end_date": "2090-12-31"}
DAYS = st.dates(date(2000, 1, 1), date(2100, 12, 31))


@pytest.fixture
async def account(sales: Sales) -> Json:
    return await sales.make("accounts", name="Movers")


async def drafted(sales: Sales, account: Json, **fields: object) -> Json:
    customer = {"type": "account", "id": account["id"]}
    return await sales.make("sales-contracts", **({"name": "Fleet service", "customer": customer} | fields))


async def active(sales: Sales, account: Json, **fields: object) -> Json:
    return await sales.act("sales-contracts", await drafted(sales, account, **(PERIOD | fields)), "activate")


async def test_a_new_contract_is_a_draft_with_a_number(sales: Sales, account: Json) -> None:
    made = await drafted(sales, account, value=euros("12000.00"))
    assert made["number"].startswith("SCO-")
    assert (made["status"], made["value_base"], made["exchange_rate"]) == ("draft", euros("12000.00"), "1")
    assert made["customer"] == {"type": "account", "id": account["id"], "name": "Movers", "deleted": False}
    assert (made["start_date"], made["activated_at"], made["ended_at"], made["termination_reason"]) == (None,) * 4
    assert made["allowed_actions"] == ["activate", "assign"]
    for query in (f"customer.id={account['id']}", "q=fleet", f"q={made['number']}", "sort=-value_base.amount"):
        assert [one["id"] for one in await sales.page("sales-contracts", query)] == [made["id"]], query
    assert await sales.facts(after=1) == ["sales_contract.created"]


async def test_a_draft_is_changed_and_deleted(sales: Sales, account: Json) -> None:
    ada = await sales.make("contacts", first_name="Ada", last_name="Lovelace")
    made = await drafted(sales, account)
    changed = await sales.patch("sales-contracts", made, **PERIOD, customer={"type": "contact", "id": ada["id"]})
    assert (changed["customer"]["name"], changed["end_date"]) == ("Ada Lovelace", "2090-12-31")
    assert (await sales.patch("sales-contracts", made, customer=changed["customer"]))["version"] == 2
    answer = await sales.try_patch("sales-contracts", made, customer=None)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/customer")
    assert (await sales.delete("sales-contracts", made)).status == 204
    assert await sales.facts(after=2) == [f"sales_contract.{fact}" for fact in ("created", "updated", "deleted")]


@pytest.mark.parametrize(
    ("fields", "slug", "pointer"),
    [
        ({"start_date": "2090-02-01", "end_date": "2090-01-31"}, "end-before-start", "/end_date"),
        ({"customer": {"type": "account", "id": str(uuid4())}}, "unknown-reference", "/customer/id"),
        ({"value": {"amount": "1.00", "currency": "USD"}}, "no-exchange-rate", "/value/currency"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_place(
    sales: Sales, account: Json, fields: Json, slug: str, pointer: str
) -> None:
    whole = {"name": "Fleet service", "customer": {"type": "account", "id": account["id"]}} | fields
    answer = await sales.try_make("sales-contracts", **whole)
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, slug, pointer)
    answer = await sales.try_patch("sales-contracts", await drafted(sales, account), **fields)
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, slug, pointer)


async def test_it_is_activated_with_a_period_and_fixed_from_then_on(sales: Sales, account: Json) -> None:
    made = await drafted(sales, account, start_date="2020-01-01")
    answer = await sales.try_act("sales-contracts", made, "activate")
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, "period-required", "/end_date")
    await sales.patch("sales-contracts", made, end_date="2020-12-31")
    assert (await sales.try_act("sales-contracts", made, "activate")).problem == "period-over"
    await sales.patch("sales-contracts", made, end_date="2090-12-31")
    running = await sales.act("sales-contracts", made, "activate")
    assert (running["status"], running["activated_at"]) == ("active", running["modified_at"])
    assert running["allowed_actions"] == ["end", "terminate", "assign"]
    answer = await sales.try_patch("sales-contracts", made, name="Other")
    assert (answer.problem, answer.json["allowed"]) == ("illegal-transition", ["end", "terminate"])
    assert (await sales.delete("sales-contracts", made)).problem == "not-deletable"


async def test_it_is_ended_by_hand(sales: Sales, account: Json) -> None:
    ended = await sales.act("sales-contracts", await active(sales, account), "end")
    assert (ended["status"], ended["ended_at"], ended["allowed_actions"]) == ("ended", ended["modified_at"], ["assign"])
    told = (await sales.events())[-1]
    assert (told["type"], told["data"]["ended_at"]) == ("crm.sales.sales_contract.ended.v1", ended["ended_at"])


async def test_it_is_terminated_for_a_reason(sales: Sales, account: Json) -> None:
    running = await active(sales, account)
    assert (await sales.try_act("sales-contracts", running, "terminate")).status in (400, 422)
    over = await sales.act("sales-contracts", running, "terminate", reason="The fleet was sold")
    assert (over["status"], over["termination_reason"]) == ("terminated", "The fleet was sold")
    told = (await sales.events())[-1]["data"]
    assert (told["reason"], told["terminated_at"]) == ("The fleet was sold", over["terminated_at"])
    assert (await sales.try_act("sales-contracts", running, "end")).problem == "illegal-transition"


async def test_it_ends_by_itself_when_its_last_day_is_over(
    sales: Sales, account: Json, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = (clock.now() + timedelta(days=1)).date()
    short = await active(sales, account, start_date="2020-01-01", end_date=str(tomorrow))
    await active(sales, account)
    await drafted(sales, account, start_date="2020-01-01", end_date="2020-12-31")
    loop = TimerLoop(TIMERS, runtime)
    assert await loop.fire_due() == 0
    monkeypatch.setattr(clock, "_OFFSET", timedelta(days=3))
    assert await loop.fire_due() == 1
    assert await loop.fire_due() == 0
    told = (await sales.events())[-1]
    assert (told["type"], told["subject"]) == ("crm.sales.sales_contract.ended.v1", short["id"])
    assert (told["actor"], told["entityversion"]) == ("system:sales", 3)
    ended = told["data"]["record"]
    assert (ended["status"], ended["ended_at"]) == ("ended", told["data"]["ended_at"])


@pytest.mark.parametrize(
    ("zone", "instant", "due"),
    [
        ("Pacific/Auckland", "2091-01-01T00:30:00+13:00", True),
        ("Pacific/Auckland", "2090-12-31T23:30:00+13:00", False),
        ("America/Los_Angeles", "2091-01-01T04:00:00+00:00", False),
        ("America/Los_Angeles", "2091-01-01T08:00:00+00:00", True),
    ],
)
async def test_a_day_is_over_where_the_organisation_is(
    sales: Sales, account: Json, runtime: Runtime, people: People, zone: str, instant: str, due: bool
) -> None:
    running = await active(sales, account)
    await people.organization(time_zone=zone)
    async with runtime.db.autocommit() as conn:
        found = (await conn.execute(past_their_end(datetime.fromisoformat(instant).astimezone(UTC)))).scalars().all()
    assert [str(one) for one in found] == ([running["id"]] if due else [])


async def test_the_timer_never_reads_the_whole_table(sales: Sales, account: Json, runtime: Runtime) -> None:
    await active(sales, account)
    plan = await plan_of(runtime, past_their_end, SalesContract)
    assert "ix_sales_contract_running" in plan, plan


@given(st.none() | DAYS, st.none() | DAYS, DAYS)
def test_a_period_holds_from_a_day_to_a_day_that_is_not_over(start: date | None, end: date | None, today: date) -> None:
    good = start is not None and end is not None and end >= today
    with nullcontext() if good else pytest.raises(InvalidValue):
        require_period(start, end, today)
    in_order = start is None or end is None or start <= end
    with nullcontext() if in_order else pytest.raises(InvalidValue):
        require_order(start, end)


async def test_a_customer_with_a_contract_stays(sales: Sales, account: Json) -> None:
    ada = await sales.make("contacts", last_name="Lovelace")
    of_account = await drafted(sales, account)
    of_contact = await drafted(sales, account, customer={"type": "contact", "id": ada["id"]})
    for collection, record, contract in (("accounts", account, of_account), ("contacts", ada, of_contact)):
        answer = await sales.delete(collection, record)
        assert (answer.status, answer.problem) == (409, "in-use")
        reference = {"type": "sales_contract", "id": contract["id"], "name": contract["name"]}
        assert answer.json["references"] == [reference]


async def test_a_contract_follows_its_customer_who_was_merged_into_another(sales: Sales, account: Json) -> None:
    running, other = await active(sales, account), await sales.make("accounts", name="Removers")
    await sales.merge("accounts", account, other)
    moved = await sales.get("sales-contracts", running["id"])
    assert (moved["customer"]["id"], moved["customer"]["name"], moved["status"]) == (other["id"], "Removers", "active")
    assert "sales_contract.updated" in await sales.facts()


async def test_a_contract_names_the_orders_it_is_about_and_keeps_them(sales: Sales, account: Json) -> None:
    customer = {"type": "account", "id": account["id"]}
    first, second = [await sales.make("orders", name="Cars", customer=customer, currency="EUR") for _ in range(2)]
    made = await drafted(sales, account, order_ids=[first["id"], first["id"]])
    assert made["order_ids"] == [first["id"]]
    changed = await sales.patch("sales-contracts", made, order_ids=[second["id"], first["id"]])
    assert changed["order_ids"] == [second["id"], first["id"]]
    found = await sales.page("sales-contracts", f"order_ids[contains]={second['id']}")
    assert [one["id"] for one in found] == [made["id"]]
    answer = await sales.delete("orders", second)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"] == [{"type": "sales_contract", "id": made["id"], "name": made["name"]}]
    answer = await sales.try_patch("sales-contracts", made, order_ids=[first["id"], str(uuid4())])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("unknown-reference", "/order_ids/1")
    await sales.patch("sales-contracts", made, order_ids=[])
    assert (await sales.delete("orders", second)).status == 204


async def test_a_customer_that_is_switched_off_gets_no_new_contract(sales: Sales, account: Json) -> None:
    made = await drafted(sales, account, **PERIOD)
    await sales.act("accounts", account, "deactivate")
    customer = {"type": "account", "id": account["id"]}
    answer = await sales.try_make("sales-contracts", name="Fleet service", customer=customer)
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    answer = await sales.try_act("sales-contracts", made, "activate")
    assert (answer.status, answer.problem) == (422, "inactive-reference")


async def test_a_contract_is_seen_by_whom_its_owner_is_near(
    sales: Sales, sales_for: Callable[[Principal], Sales], account: Json
) -> None:
    made = await drafted(sales, account)
    seller = sales_for(principal(Depth.USER))
    assert (await seller.client.get(f"{API}/sales-contracts/{made['id']}")).status == 404
    assert await seller.page("sales-contracts") == []
    reader = sales_for(principal(sales_contract="04000"))
    assert (await reader.get("sales-contracts", made["id"]))["allowed_actions"] == []
    assert (await reader.try_act("sales-contracts", made, "activate")).status == 403


async def test_statement_counts_of_contracts(sales: Sales, account: Json, runtime: Runtime) -> None:
    await drafted(sales, account)
    with counted(runtime.db) as statements:
        made = await drafted(sales, account)
    assert len(statements) == 2, statements
    with counted(runtime.db) as statements:
        await sales.page("sales-contracts", "limit=50")
    # One statement for the page, one for the names of all customers.
    assert len(statements) == 2, statements
    await sales.patch("sales-contracts", made, **PERIOD)
    with counted(runtime.db) as statements:
        await sales.act("sales-contracts", made, "activate")
    assert 0 < len(statements) <= 5, statements
