"""Deals of another system, imported with their status and their dates."""

import json
from typing import Any

import pytest

from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, People, counted

from .journey import API, Json, Sales, euros
from .test_import import imported

HEADER = "name,customer.type,customer.id,stage,status,reason,opened_at,closed_at,actual_value.amount,actual_value.currency,note"


async def rows_of(
    client: Client, runtime: Runtime, *rows: str, header: str = HEADER
) -> tuple[dict[str, Any], list[list[str]]]:
    return await imported(client, runtime, "\n".join([header, *rows]), to="opportunities")


@pytest.fixture
async def account(sales: Sales) -> Json:
    return await sales.make("accounts", name="Cancity")


async def test_a_won_deal_comes_in_as_it_was_won(client: Client, runtime: Runtime, sales: Sales, account: Json) -> None:
    row = f"Fleet,account,{account['id']},close,won,,2016-10-20,2017-03-01T12:30:00Z,1054.00,EUR,Signed"
    job, errors = await rows_of(client, runtime, row)
    assert (job["done"], errors) == (1, [])
    [deal] = await sales.page("opportunities")
    assert (deal["status"], deal["stage"], deal["probability"]) == ("won", "close", 90)
    assert (deal["actual_value"]["amount"], deal["actual_value_base"]["amount"]) == ("1054.00", "1054.00")
    assert deal["closed_at"] == "2017-03-01T12:30:00Z"
    assert [(visit["entered_at"], visit["left_at"]) for visit in deal["stages"]] == [
        ("2016-10-20T00:00:00Z", "2017-03-01T12:30:00Z")
    ]
    [close] = deal["closes"]
    assert (close["outcome"], close["note"]) == ("won", "Signed")


async def test_history_is_told_by_one_event_and_changes_nobody_else(
    client: Client, runtime: Runtime, sales: Sales, account: Json
) -> None:
    before = len(await sales.events())
    await rows_of(client, runtime, f"Fleet,account,{account['id']},,won,,,2017-03-01,5.00,EUR,")
    assert await sales.facts(after=before) == ["opportunity.created"]
    assert (await sales.get("accounts", account["id"]))["tier"] == "prospect"


async def test_lost_and_open_deals_come_in_too(client: Client, runtime: Runtime, sales: Sales) -> None:
    job, errors = await rows_of(
        client,
        runtime,
        "Lost,,,develop,lost,out_sold,2017-01-01,2017-01-31,,,Too dear",
        "Open,,,develop,open,,2017-02-01,,,,",
    )
    assert (job["done"], errors) == (2, [])
    lost, still_open = await sales.page("opportunities", "sort=name")
    assert (lost["status"], lost["status_reason"], lost["closed_at"]) == ("lost", "out_sold", "2017-01-31T00:00:00Z")
    assert (still_open["status"], still_open["stage"], still_open["closed_at"]) == ("open", "develop", None)
    assert still_open["stages"][0]["entered_at"] == "2017-02-01T00:00:00Z"
    assert still_open["allowed_actions"] == ["advance", "hold", "win", "lose", "assign", "merge"]


async def test_a_won_deal_can_be_reopened_like_any_other(
    client: Client, runtime: Runtime, sales: Sales, account: Json
) -> None:
    await rows_of(client, runtime, f"Fleet,account,{account['id']},close,won,,2016-10-20,2017-03-01,9.00,EUR,")
    [deal] = await sales.page("opportunities")
    again = await sales.act("opportunities", deal, "reopen")
    assert (again["status"], len(again["stages"]), len(again["closes"])) == ("open", 2, 1)


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("A,,,,won,,,2017-03-01,1.00,EUR,", "customer.type", "customer-required"),
        ("A,account,{account},,won,,,2017-03-01,,,", "actual_value.amount", "actual-value-required"),
        ("A,,,,lost,,,,,,", "closed_at", "closed-at-required"),
        ("A,,,,lost,,2017-03-02,2017-03-01,,,", "closed_at", "closed-before-opened"),
        ("A,,,,lost,,,2999-01-01,,,", "closed_at", "in-the-future"),
        ("A,,,,open,,2999-01-01,,,,", "opened_at", "in-the-future"),
        ("A,,,,open,,,2017-03-01,,,", "closed_at", "not-closed"),
        ("A,,,,lost,,,2017-03-01,1.00,EUR,", "actual_value.amount", "not-won"),
        ("A,account,{account},,won,canceled,,2017-03-01,1.00,EUR,", "reason", "not-lost"),
        ("A,,,nowhere,open,,,,,,", "stage", "unknown-reference"),
        ("A,account,01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f,,open,,,,,,", "customer.id", "unknown-reference"),
    ],
)
async def test_a_row_that_breaks_a_rule_is_refused_with_its_place(
    client: Client, runtime: Runtime, sales: Sales, account: Json, row: str, column: str, code: str
) -> None:
    job, errors = await rows_of(client, runtime, row.format(account=account["id"]))
    assert (job["done"], job["failed"]) == (0, 1)
    assert [(error[1], error[2]) for error in errors] == [(column, code)]
    assert await sales.page("opportunities") == []


async def test_a_day_begins_in_the_zone_of_the_organisation(
    client: Client, runtime: Runtime, sales: Sales, people: People
) -> None:
    await people.organization(time_zone="America/New_York")
    await rows_of(client, runtime, "Lost,,,,lost,,2017-03-01,2017-07-01,,,")
    [deal] = await sales.page("opportunities")
    assert (deal["stages"][0]["entered_at"], deal["closed_at"]) == ("2017-03-01T05:00:00Z", "2017-07-01T04:00:00Z")


async def test_rows_ask_once_for_what_they_share(client: Client, runtime: Runtime, account: Json) -> None:
    mapping = {"name": "name", "customer.id": "customer.id", "=account": "customer.type", "=develop": "stage"}
    lines = "\n".join(["name,customer.id", *(f"Deal {number},{account['id']}" for number in range(40))])
    with counted(runtime.db) as statements:
        job, _ = await imported(client, runtime, lines, to="opportunities", mapping=json.dumps(mapping))
    assert job["done"] == 40
    assert sum("FROM account" in statement for statement in statements) == 1
    assert sum("FROM sales_stage" in statement for statement in statements) == 1


PRODUCT_HEADER = (
    "name,customer.type,customer.id,status,closed_at,actual_value.amount,actual_value.currency,"
    "product_id,quantity,price_list_id"
)


@pytest.fixture
async def product(sales: Sales) -> Json:
    made = await sales.make("products", name="GTX Pro", list_price=euros("4821.00"), tax_percent=19)
    return await sales.act("products", made, "activate")


async def test_a_deal_is_about_its_product_at_the_price_of_the_list(
    client: Client, runtime: Runtime, sales: Sales, account: Json, product: Json
) -> None:
    prices = await sales.make("price-lists", name="Retail", currency="EUR")
    item = {"price_list_id": prices["id"], "product_id": product["id"], "pricing_method": "amount"}
    await sales.make("price-list-items", **item, amount=euros("4500.00"))
    rows = [f"Fleet,account,{account['id']},won,2017-03-01,7900.00,EUR,{product['id']},2,{prices['id']}"] * 30
    with counted(runtime.db) as statements:
        job, errors = await rows_of(client, runtime, *rows, header=PRODUCT_HEADER)
    assert (job["done"], errors) == (30, [])
    assert sum("FROM product" in statement for statement in statements) == 1
    deal = (await sales.page("opportunities"))[0]
    [line] = deal["lines"]
    assert (line["name"], line["quantity"], line["net"]["amount"]) == ("GTX Pro", "2", "9000.00")
    assert (deal["actual_value"]["amount"], deal["estimated_value"]) == ("7900.00", None)


async def test_what_is_wrong_with_its_product_is_told_by_its_column(
    client: Client, runtime: Runtime, sales: Sales, product: Json
) -> None:
    await sales.act("products", product, "retire")
    rows = [f"Fleet,,,open,,,,{product['id']},,", "Fleet,,,open,,,,,2,"]
    _, errors = await rows_of(client, runtime, *rows, header=PRODUCT_HEADER)
    assert [(error[1], error[2]) for error in errors] == [
        ("product_id", "inactive-reference"),
        ("quantity", "product-required"),
    ]


async def test_an_import_of_deals_has_a_job_like_any_other(client: Client) -> None:
    answer = await client.get(f"{API}/opportunities/jobs/01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f")
    assert (answer.status, answer.problem) == (404, "not-found")
