"""Merging deals: what moves to the survivor, what it takes over, and what is refused."""

from collections.abc import Callable
from typing import get_args

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import principal
from crm_sales.opportunity.schemas import OpportunityMergeField, OpportunityUpdate

from .journey import ADA, API, Json, Sales, euros
from .paperwork import derived, line
from .selling import FLEET, VAN, make_customer, make_price_list, make_product
from .test_moving import let_a_minute_pass, work


async def two(sales: Sales, loser: Json | None = None, survivor: Json | None = None) -> tuple[Json, Json]:
    return (
        await sales.make("opportunities", **{"name": "Fleet"} | (loser or {})),
        await sales.make("opportunities", **{"name": "Fleet of vans"} | (survivor or {})),
    )


async def test_everything_that_belongs_to_a_deal_moves_to_its_survivor(sales: Sales, runtime: Runtime) -> None:
    customer = await make_customer(sales)
    lead = await sales.act("leads", await sales.make("leads", **ADA), "qualify")
    loser = await sales.get("opportunities", lead["opportunity_id"])
    _, survivor = await two(sales, None, {"customer": customer})
    quote = await sales.make("quotes", opportunity_id=loser["id"], **FLEET)
    order = await sales.make("orders", name="Vans", opportunity_id=loser["id"], lines=[line()])
    invoice = await sales.make("invoices", name="Vans", opportunity_id=loser["id"], lines=[line()])
    before = len(await sales.events())
    kept = await sales.merge("opportunities", loser, survivor)
    assert (kept["id"], kept["version"], kept["name"]) == (survivor["id"], 1, "Fleet of vans")
    for collection, record in (("quotes", quote), ("orders", order), ("invoices", invoice)):
        moved = await sales.get(collection, record["id"])
        assert (moved["opportunity_id"], moved["version"]) == (survivor["id"], 2)
        assert moved["customer"]["id"] == lead["account_id"]
    assert (await sales.get("leads", lead["id"]))["opportunity_id"] == survivor["id"]
    facts = await sales.facts(after=before)
    assert facts[0] == "opportunity.merged"
    assert sorted(facts[1:]) == ["invoice.updated", "lead.updated", "order.updated", "quote.updated"]
    answer = await sales.client.get(f"{API}/opportunities/{loser['id']}")
    assert (answer.status, answer.problem) == (410, "merged")
    href = f"{API}/opportunities/{survivor['id']}"
    assert answer.json["survivor"] == {"type": "opportunity", "id": survivor["id"], "href": href}
    assert answer.headers["link"] == f'<{href}>; rel="successor-version"'
    found = {deal["id"] for deal in await sales.page("opportunities")}
    assert (loser["id"] in found, survivor["id"] in found) == (False, True)
    # The loser refers to nothing any more. A deal that something is on its way to cannot be deleted.
    [told] = [event for event in await sales.events() if event["type"] == "crm.sales.opportunity.merged.v1"]
    assert (told["data"]["record"]["customer"], told["data"]["record"]["originating_lead_id"]) == (None, None)
    await let_a_minute_pass(runtime)
    await work(runtime)
    answer = await sales.delete("opportunities", survivor)
    assert (answer.status, answer.problem) == (409, "in-use")


async def test_documents_that_wait_for_a_customer_get_the_survivors(sales: Sales) -> None:
    customer = await make_customer(sales)
    loser, survivor = await two(sales, None, {"customer": customer})
    waiting = await sales.make("quotes", opportunity_id=loser["id"], **FLEET)
    await sales.merge("opportunities", loser, survivor)
    moved = await sales.get("quotes", waiting["id"])
    assert (moved["opportunity_id"], moved["customer"]["id"]) == (survivor["id"], customer["id"])
    loser, survivor = await two(sales, {"customer": customer})
    waiting = await sales.make("quotes", opportunity_id=survivor["id"], **FLEET)
    kept = await sales.merge("opportunities", loser, survivor, fill_empty=True)
    assert kept["customer"]["id"] == customer["id"]
    assert (await sales.get("quotes", waiting["id"]))["customer"]["id"] == customer["id"]


async def test_a_survivor_takes_over_lines_with_their_price_list_and_its_value_follows(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await make_price_list(sales, (card, "10.00"))
    lines = [{"product_id": card["id"], "quantity": "3"}]
    loser, survivor = await two(
        sales,
        {"lines": lines, "price_list_id": retail["id"], "probability": 77, "estimated_value": euros("5.00")},
        {"estimated_value_source": "lines"},
    )
    answer = await sales.try_merge("opportunities", loser, survivor, fields=["name", "estimated_value"])
    assert (answer.status, answer.problem) == (422, "value-from-lines")
    assert answer.json["errors"][0]["pointer"] == "/fields/1"
    kept = await sales.merge("opportunities", loser, survivor, fields=["probability"], fill_empty=True)
    assert (kept["lines"], kept["price_list_id"]) == (loser["lines"], retail["id"])
    assert (kept["estimated_value"], kept["estimated_value_base"]) == (euros("30.00"), euros("30.00"))
    assert (kept["probability"], kept["name"]) == (77, "Fleet of vans")
    # The merged deal does not keep the price list from being deleted. The survivor does.
    refused = await sales.delete("price-lists", retail)
    assert [one["id"] for one in refused.json["references"] if one["type"] == "opportunity"] == [survivor["id"]]


async def test_deals_in_two_currencies_are_not_merged(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.5", valid_from="2020-01-01")
    dollars = {"amount": "10.00", "currency": "USD"}
    loser, survivor = await two(sales, {"estimated_value": dollars}, {"lines": [VAN]})
    answer = await sales.try_merge("opportunities", loser, survivor)
    assert (answer.status, answer.problem) == (422, "currency-mismatch")
    assert answer.json["errors"][0]["pointer"] == "/into"
    kept = await sales.merge("opportunities", loser, (await two(sales))[1], fields=["estimated_value"])
    assert (kept["estimated_value"], kept["estimated_value_base"]) == (dollars, euros("5.00"))


async def test_a_loser_without_lines_takes_no_price_list_away_and_gives_one_only_where_there_is_none(
    sales: Sales,
) -> None:
    retail, wholesale = [await make_price_list(sales), await make_price_list(sales)]
    loser, survivor = await two(sales, None, {"price_list_id": retail["id"]})
    assert (await sales.merge("opportunities", loser, survivor, fill_empty=True))["price_list_id"] == retail["id"]
    loser, _ = await two(sales, {"price_list_id": wholesale["id"]})
    survivor = await sales.get("opportunities", survivor["id"])
    assert (await sales.merge("opportunities", loser, survivor, fill_empty=True))["price_list_id"] == retail["id"]
    loser, survivor = await two(sales, {"price_list_id": wholesale["id"]})
    assert (await sales.merge("opportunities", loser, survivor, fill_empty=True))["price_list_id"] == wholesale["id"]


async def test_a_survivor_takes_no_amount_in_another_currency_than_its_price_lists(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.5", valid_from="2020-01-01")
    retail = await make_price_list(sales)
    dollars = {"estimated_value": {"amount": "10.00", "currency": "USD"}}
    loser, survivor = await two(sales, dollars, {"price_list_id": retail["id"]})
    for named in ({"fields": ["estimated_value"]}, {"fill_empty": True}):
        answer = await sales.try_merge("opportunities", loser, survivor, **named)
        assert (answer.status, answer.problem) == (422, "currency-mismatch")
        assert answer.json["errors"][0]["pointer"] == "/into"
    kept = await sales.merge("opportunities", loser, survivor)
    assert (kept["price_list_id"], kept["estimated_value"]) == (retail["id"], None)


async def test_a_deal_without_lines_has_its_value_in_the_currency_of_its_price_list(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.5", valid_from="2020-01-01")
    deal = await sales.make("opportunities", name="Fleet", price_list_id=(await make_price_list(sales))["id"])
    dollars = {"amount": "10.00", "currency": "USD"}
    answer = await sales.try_patch("opportunities", deal, estimated_value=dollars)
    assert (answer.status, answer.problem) == (422, "currency-mismatch")
    assert answer.json["errors"][0]["pointer"] == "/estimated_value/currency"


@pytest.mark.parametrize("end", ["win", "lose"])
async def test_closed_deals_are_not_merged(sales: Sales, end: str) -> None:
    closed, is_open = await two(sales, {"customer": await make_customer(sales), "estimated_value": euros("1.00")})
    closed = await sales.act("opportunities", closed, end)
    assert "merge" not in closed["allowed_actions"]
    answer = await sales.try_merge("opportunities", closed, is_open)
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    answer = await sales.try_merge("opportunities", is_open, closed)
    assert (answer.status, answer.problem) == (422, "inactive-reference")


async def test_nothing_new_refers_to_a_merged_deal(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    loser, survivor = await two(sales)
    await sales.merge("opportunities", loser, survivor)
    for collection in ("quotes", "orders", "invoices"):
        answer = await sales.try_make(collection, name="Vans", opportunity_id=loser["id"], lines=[VAN])
        assert (answer.status, answer.problem) == (422, "merged-reference")
        assert answer.json["errors"][0]["pointer"] == "/opportunity_id"
        assert answer.json["survivor"]["id"] == survivor["id"]
    stranger = sales_for(principal(Depth.USER))
    answer = await stranger.try_make("quotes", name="Vans", opportunity_id=loser["id"], lines=[VAN])
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    for command in ("quote", "win", "advance", "merge"):
        body = {"advance": {"stage": "propose"}, "merge": {"into": survivor["id"]}}.get(command, {})
        answer = await sales.try_act("opportunities", loser, command, **body)
        assert (answer.status, answer.problem) == (410, "merged")


async def test_if_match_speaks_of_the_loser_and_rights_are_those_of_other_merges(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    loser, survivor = await two(sales)
    path, body = f"{API}/opportunities/{loser['id']}/merge", {"into": survivor["id"]}
    assert (await sales.client.request("POST", path, json=body, headers={"if-match": '"7"'})).status == 412
    writer = sales_for(principal(Depth.ORGANIZATION, opportunity="44404"))
    assert (await writer.try_merge("opportunities", loser, survivor)).status == 403
    assert (await sales.client.request("POST", path, json=body, headers={"if-match": '"1"'})).status == 200


async def test_an_active_quote_of_the_loser_can_be_ordered_for_the_survivor(sales: Sales) -> None:
    loser, survivor = await two(sales, {"customer": await make_customer(sales)})
    quote = await sales.act("quotes", await sales.make("quotes", opportunity_id=loser["id"], **FLEET), "activate")
    await sales.merge("opportunities", loser, survivor, fields=["customer"])
    order = await derived(sales, "quotes", quote, "order")
    assert order["opportunity_id"] == survivor["id"]
    answer = await sales.try_act("opportunities", survivor, "win", actual_value=euros("1.00"))
    assert (answer.status, answer.problem) == (409, "unfinished-business")


def test_what_may_be_edited_may_be_taken_over() -> None:
    with_lines = {"price_list_id"}
    assert (
        set(get_args(OpportunityMergeField))
        == set(OpportunityUpdate.model_fields) - {"estimated_value_source"} - with_lines
    )
