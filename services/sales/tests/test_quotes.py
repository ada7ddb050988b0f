"""Draft quotes: fields, prices of lines, and access."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.clock import now
from crm_kit.process.runtime import Runtime
from crm_kit.testing import counted, principal

from .journey import ADA, API, Json, Sales, euros
from .selling import FLEET, NOBODY, VAN, make_customer, make_price_list, make_product, make_quote


async def test_a_quote_says_what_its_lines_and_its_header_come_to(sales: Sales) -> None:
    discount = {"discount_percent": 10, "discount_amount": euros("5.00"), "freight": euros("15.00")}
    lines = [
        VAN,
        {"name": "Roof rack", "quantity": "1.5", "unit_price": euros("33.33"), "manual_discount": euros("0.99")},
    ]
    quote = await make_quote(sales, lines=lines, **discount)
    assert quote["number"].startswith("QUO-")
    assert (quote["revision"], quote["status"], quote["currency"], quote["exchange_rate"]) == (1, "draft", "EUR", "1")
    assert [(line["net"], line["tax"]) for line in quote["lines"]] == [
        (euros("200.00"), euros("38.00")),
        (euros("49.01"), euros("0.00")),
    ]
    assert [quote[field] for field in ("subtotal", "discount_total", "tax_total", "total")] == [
        euros("249.01"),
        euros("29.90"),
        euros("38.00"),
        euros("272.11"),
    ]
    assert quote["total_base"] == quote["total"]
    assert quote["allowed_actions"] == ["reprice", "activate", "cancel", "assign"]
    assert await sales.facts() == ["account.created", "quote.created"]


async def test_a_quote_begins_with_what_its_deal_and_customer_say(sales: Sales, campaign: str) -> None:
    where = {
        "line1": "Main Street 1",
        "line2": None,
        "city": "Ulm",
        "region": None,
        "postal_code": None,
        "country": "DE",
    }
    customer = await make_customer(sales, billing_address=where)
    deal = await sales.make("opportunities", name="Forty cars", customer=customer, campaign_id=campaign)
    quote = await sales.make("quotes", opportunity_id=deal["id"], lines=[VAN])
    assert (quote["name"], quote["campaign_id"], quote["customer"]["name"]) == ("Forty cars", campaign, "Movers")
    assert (quote["bill_to"], quote["ship_to"]) == (where, where)
    own = await sales.make("quotes", opportunity_id=deal["id"], name="Ours", bill_to=None, campaign_id=None)
    assert (own["name"], own["bill_to"], own["ship_to"], own["campaign_id"]) == ("Ours", None, where, None)


async def test_the_addresses_of_a_customer_are_for_those_who_may_read_it(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    customer = await make_customer(sales, billing_address={"city": "Ulm"})
    deal = await sales.make("opportunities", name="Forty cars", customer=customer)
    seller = sales_for(principal(account=Depth.NONE))
    quote = await seller.make("quotes", opportunity_id=deal["id"])
    assert (quote["customer"]["id"], quote["bill_to"]) == (customer["id"], None)


@pytest.mark.parametrize(
    ("fields", "slug", "pointer"),
    [
        ({"name": None}, "name-required", "/name"),
        ({"opportunity_id": NOBODY}, "unknown-reference", "/opportunity_id"),
        ({"customer": {"type": "account", "id": NOBODY}}, "unknown-reference", "/customer/id"),
        ({"price_list_id": NOBODY}, "unknown-reference", "/price_list_id"),
        ({"effective_from": "2030-01-02", "effective_to": "2030-01-01"}, "end-before-start", "/effective_to"),
        ({"currency": "USD"}, "currency-mismatch", "/lines/0/unit_price/currency"),
        ({"currency": "USD", "lines": []}, "no-exchange-rate", "/currency"),
        ({"freight": {"amount": "1.00", "currency": "USD"}}, "currency-mismatch", "/freight/currency"),
        ({"lines": [VAN | {"name": None}]}, "name-required", "/lines/0/name"),
        ({"lines": [VAN, VAN | {"unit_price": None}]}, "price-required", "/lines/1/unit_price"),
        ({"lines": [VAN | {"price_overridden": False}]}, "price-required", "/lines/0/unit_price"),
        ({"lines": [VAN | {"tax_overridden": True, "tax_percent": None}]}, "tax-required", "/lines/0/tax_percent"),
        ({"lines": [VAN | {"product_id": NOBODY}]}, "unknown-reference", "/lines/0/product_id"),
        ({"lines": [VAN | {"id": NOBODY}]}, "unknown-reference", "/lines/0/id"),
        ({"lines": [VAN | {"manual_discount": euros("200.01")}]}, "discount-too-large", "/lines/0/manual_discount"),
        ({"lines": [VAN | {"quantity": "0"}]}, "validation", "/lines/0/quantity"),
        ({"lines": [VAN] * 501}, "validation", "/lines"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_place(
    sales: Sales, fields: Json, slug: str, pointer: str
) -> None:
    answer = await sales.try_make("quotes", **(FLEET | fields))
    assert (answer.status, answer.problem) == (422, slug), answer.body
    assert answer.json["errors"][0]["pointer"] == pointer


async def test_a_quote_of_a_closed_deal_is_refused(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Gone")
    await sales.act("opportunities", deal, "lose")
    answer = await sales.try_make("quotes", **FLEET, opportunity_id=deal["id"])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("inactive-reference", "/opportunity_id")
    answer = await sales.try_act("opportunities", deal, "quote")
    assert (answer.status, answer.json["allowed"]) == (409, ["reopen"])


async def test_a_product_is_sold_at_the_price_of_the_list_and_its_quantity(sales: Sales) -> None:
    card = await make_product(sales, decimals=1)
    breaks = [{"min_quantity": "10", "discount_percent": 5}]
    retail = await make_price_list(sales, (card, "11.00"), volume_breaks=breaks)
    lines = [
        {"product_id": card["id"], "quantity": "2.5"},
        {"product_id": card["id"], "quantity": "10", "name": "Ignored"},
        {"product_id": card["id"], "quantity": "10", "unit_price": euros("9.00"), "tax_percent": 7},
    ]
    quote = await make_quote(sales, price_list_id=retail["id"], lines=lines)
    told = ("name", "unit", "unit_price", "price_overridden", "volume_discount", "tax_percent", "tax_overridden", "net")
    nothing = euros("0.00")
    assert [tuple(line[field] for field in told) for line in quote["lines"]] == [
        ("Gold card", "piece", euros("11.00"), False, nothing, 19, False, euros("27.50")),
        ("Gold card", "piece", euros("11.00"), False, euros("0.55"), 19, False, euros("104.50")),
        ("Gold card", "piece", euros("9.00"), True, nothing, 7, True, euros("90.00")),
    ]


async def test_without_a_price_list_a_product_costs_its_list_price(sales: Sales) -> None:
    card = await make_product(sales)
    quote = await make_quote(sales, lines=[{"product_id": card["id"], "quantity": "2"}])
    assert quote["subtotal"] == euros("25.00")


async def test_a_product_that_is_not_sold_enters_no_line(sales: Sales) -> None:
    draft = await sales.make("products", name="Not yet", list_price=euros("1.00"))
    retired = await sales.act("products", await make_product(sales, "No more"), "retire")
    yesterday = await make_product(sales, "Yesterday's", valid_to=str((now() - timedelta(days=2)).date()))
    family = await make_product(sales, "Cards", structure="family", list_price=None)
    for product in (draft, retired, yesterday, family):
        answer = await sales.try_make("quotes", name="Q", lines=[{"product_id": product["id"], "quantity": "1"}])
        assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("inactive-reference", "/lines/0/product_id")


async def test_a_product_is_sold_in_the_parts_it_comes_in_and_at_a_price_there_is(sales: Sales) -> None:
    card = await make_product(sales)
    answer = await sales.try_make("quotes", name="Q", lines=[{"product_id": card["id"], "quantity": "1.5"}])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("too-many-decimals", "/lines/0/quantity")
    empty = await make_price_list(sales)
    line = {"product_id": card["id"], "quantity": "1"}
    answer = await sales.try_make("quotes", name="Q", price_list_id=empty["id"], lines=[line])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("price-required", "/lines/0/unit_price")


async def test_a_price_list_decides_on_the_currency_and_currencies_never_mix(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    card = await make_product(sales)
    export = await make_price_list(sales, (card, "10.00"), currency="USD")
    line = {"product_id": card["id"], "quantity": "2"}
    quote = await make_quote(sales, price_list_id=export["id"], lines=[line])
    assert (quote["currency"], quote["total_base"]) == ("USD", euros("21.42"))
    answer = await sales.try_make("quotes", name="Q", price_list_id=export["id"], currency="EUR")
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("currency-mismatch", "/currency")
    answer = await sales.try_patch("quotes", quote, freight=euros("1.00"))
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("currency-mismatch", "/freight/currency")
    answer = await sales.try_patch("quotes", quote, lines=[VAN])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == (
        "currency-mismatch",
        "/lines/0/unit_price/currency",
    )
    domestic = await make_price_list(sales, (card, "9.00"))
    answer = await sales.try_patch("quotes", quote, price_list_id=domestic["id"])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("currency-mismatch", "/price_list_id")
    answer = await sales.try_patch("quotes", quote, currency="EUR")
    assert answer.problem == "read-only-field"


async def test_a_line_keeps_its_identity_and_may_be_sent_back_as_it_was_read(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await make_price_list(sales, (card, "11.00"))
    quote = await make_quote(
        sales, price_list_id=retail["id"], lines=[VAN, {"product_id": card["id"], "quantity": "2"}]
    )
    assert (await sales.patch("quotes", quote, lines=quote["lines"]))["version"] == 1
    van, cards = quote["lines"]
    patched = await sales.patch("quotes", quote, lines=[cards | {"quantity": "3"}, VAN])
    assert patched["lines"][0] == cards | {"quantity": "3", "net": euros("33.00"), "tax": euros("6.27")}
    assert patched["lines"][1]["id"] != van["id"]
    assert patched["subtotal"] == euros("233.00")
    answer = await sales.try_patch("quotes", quote, lines=[cards, cards])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("duplicate-line", "/lines/1/id")
    answer = await sales.try_patch("quotes", quote, lines=[van])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("unknown-reference", "/lines/0/id")


async def test_a_line_keeps_its_product_when_it_is_retired_but_no_other_gets_it(sales: Sales) -> None:
    card = await make_product(sales)
    quote = await make_quote(sales, lines=[{"product_id": card["id"], "quantity": "2"}])
    await sales.act("products", card, "retire")
    more = await sales.patch("quotes", quote, lines=[quote["lines"][0] | {"quantity": "4"}])
    assert more["subtotal"] == euros("50.00")
    answer = await sales.try_patch(
        "quotes", quote, lines=[quote["lines"][0], {"product_id": card["id"], "quantity": "1"}]
    )
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("inactive-reference", "/lines/1/product_id")


async def test_only_lines_and_price_list_bring_prices_of_today(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await make_price_list(sales, (card, "11.00"))
    quote = await make_quote(sales, price_list_id=retail["id"], lines=[{"product_id": card["id"], "quantity": "1"}])
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    await sales.patch("price-list-items", item, amount=euros("12.00"))
    patched = await sales.patch("quotes", quote, discount_percent=50)
    assert (patched["subtotal"], patched["discount_total"]) == (euros("11.00"), euros("5.50"))
    again = await sales.patch("quotes", quote, lines=patched["lines"])
    assert again["subtotal"] == euros("12.00")
    dearer = await make_price_list(sales, (card, "13.00"))
    assert (await sales.patch("quotes", quote, price_list_id=dearer["id"]))["subtotal"] == euros("13.00")


async def test_repricing_takes_the_prices_of_today_but_for_those_a_person_gave(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await make_price_list(sales, (card, "11.00"))
    lines = [
        {"product_id": card["id"], "quantity": "1"},
        {"product_id": card["id"], "quantity": "1", "unit_price": euros("5.00")},
    ]
    quote = await make_quote(sales, price_list_id=retail["id"], lines=lines)
    assert (await sales.act("quotes", quote, "reprice"))["version"] == 1
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    await sales.patch("price-list-items", item, amount=euros("12.00"))
    repriced = await sales.act("quotes", quote, "reprice")
    assert [line["net"] for line in repriced["lines"]] == [euros("12.00"), euros("5.00")]
    assert (await sales.facts())[-1] == "quote.updated"
    await sales.act("price-lists", retail, "deactivate")
    answer = await sales.try_act("quotes", quote, "reprice")
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/price_list_id")


async def test_an_old_quote_joins_a_deal_that_is_open(sales: Sales) -> None:
    quote = await make_quote(sales)
    deal = await sales.make("opportunities", name="Forty cars")
    joined = await sales.patch("quotes", quote, opportunity_id=deal["id"])
    assert joined["opportunity_id"] == deal["id"]
    assert (await sales.patch("quotes", quote, opportunity_id=deal["id"]))["version"] == 2
    other = await sales.make("opportunities", name="Lost")
    await sales.act("opportunities", other, "lose")
    answer = await sales.try_patch("quotes", quote, opportunity_id=other["id"])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("inactive-reference", "/opportunity_id")


@pytest.mark.parametrize(
    "field", ["number", "revision", "status", "subtotal", "total_base", "exchange_rate", "closed_at", "order_id"]
)
async def test_what_follows_is_not_patched(sales: Sales, field: str) -> None:
    quote = await make_quote(sales)
    answer = await sales.try_patch("quotes", quote, **{field: quote[field]})
    assert (answer.status, answer.problem) == (422, "read-only-field")


async def test_what_a_quote_refers_to_stays(sales: Sales) -> None:
    card = await make_product(sales)
    retail = await sales.make("price-lists", name="Retail", currency="EUR")
    customer = await make_customer(sales)
    person = await sales.make("contacts", last_name="Lovelace")
    deal = await sales.make("opportunities", name="Forty cars")
    line = {"product_id": card["id"], "quantity": "1", "unit_price": euros("1.00")}
    refers = {"opportunity_id": deal["id"], "price_list_id": retail["id"], "lines": [line], "name": "Q"}
    quote = await sales.make("quotes", **refers, customer=customer)
    other = await sales.make("quotes", name="R", customer={"type": "contact", "id": person["id"]})
    await sales.act("products", card, "revise")
    for collection, record, by in (
        ("products", card, quote),
        ("price-lists", retail, quote),
        ("accounts", customer, quote),
        ("contacts", person, other),
        ("opportunities", deal, quote),
    ):
        answer = await sales.delete(collection, record)
        assert (answer.status, answer.problem) == (409, "in-use"), collection
        assert by["id"] in [reference["id"] for reference in answer.json["references"]]


async def test_quotes_are_found_sorted_and_searched(sales: Sales) -> None:
    small = await make_quote(sales, name="Small fleet")
    large = await make_quote(sales, name="Large fleet", lines=[VAN | {"quantity": "9"}])
    assert [one["id"] for one in await sales.page("quotes", "sort=-total.amount")] == [large["id"], small["id"]]
    assert [one["id"] for one in await sales.page("quotes", f"q={small['number']}")] == [small["id"]]
    assert [one["id"] for one in await sales.page("quotes", "total_base.amount[gte]=500")] == [large["id"]]
    for key in ("created_at", "modified_at", "name", "number", "revision", "effective_to", "closed_at"):
        assert len(await sales.page("quotes", f"sort=-{key}&limit=1")) == 1
    body = {"filter": {"all": [{"field": "customer.id", "op": "eq", "value": large["customer"]["id"]}]}}
    answer = await sales.client.post(f"{API}/quotes/query", body)
    assert [one["id"] for one in answer.json["items"]] == [large["id"]]


async def test_own_quotes_only_at_user_depth(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    foreign = await make_quote(sales)
    seller = sales_for(principal(Depth.USER))
    own = await seller.make("quotes", **FLEET)
    assert [found["id"] for found in await seller.page("quotes")] == [own["id"]]
    assert (await seller.try_act("quotes", foreign, "activate")).status == 404
    assert (await seller.try_patch("quotes", foreign, name="Mine")).status == 404


async def test_quoting_a_deal_asks_for_reading_it_and_creating_quotes(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    deal = await sales.make("opportunities", name="Forty cars")
    reader = sales_for(principal(opportunity="04000"))
    assert (await reader.try_act("opportunities", deal, "quote")).status == 201
    for refused, status in ((principal(quote=Depth.NONE), 403), (principal(opportunity=Depth.USER), 404)):
        assert (await sales_for(refused).try_act("opportunities", deal, "quote")).status == status


async def test_a_quote_of_a_deal_has_its_lines_as_they_are_priced_there(sales: Sales, campaign: str) -> None:
    card = await make_product(sales)
    retail = await make_price_list(sales, (card, "11.00"))
    customer = await make_customer(sales)
    lines = [{"product_id": card["id"], "quantity": "2"}, VAN]
    deal = await sales.make(
        "opportunities",
        name="Forty cars",
        customer=customer,
        price_list_id=retail["id"],
        lines=lines,
        campaign_id=campaign,
    )
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    await sales.patch("price-list-items", item, amount=euros("12.00"))
    answer = await sales.try_act("opportunities", deal, "quote")
    quote = answer.json
    assert (answer.status, answer.headers["location"]) == (201, f"{API}/quotes/{quote['id']}")
    assert quote["lines"] == deal["lines"]
    assert (quote["subtotal"], quote["total"]) == (euros("222.00"), euros("264.18"))
    same = ("name", "campaign_id", "price_list_id")
    assert [quote[field] for field in same] == [deal[field] for field in same]
    assert (quote["customer"]["id"], quote["opportunity_id"], quote["status"]) == (customer["id"], deal["id"], "draft")
    assert (await sales.get("opportunities", deal["id"]))["version"] == 1
    assert (await sales.facts())[-1] == "quote.created"
    assert [one["id"] for one in await sales.page("quotes", f"opportunity_id={deal['id']}")] == [quote["id"]]


async def test_a_draft_is_deleted_and_what_was_offered_is_not(sales: Sales) -> None:
    quote = await make_quote(sales)
    assert (await sales.delete("quotes", quote)).status == 204
    offered = await sales.act("quotes", await make_quote(sales), "activate")
    assert (await sales.delete("quotes", offered)).problem == "not-deletable"


async def test_an_idempotent_create_makes_one_quote(sales: Sales) -> None:
    key = {"idempotency-key": "once"}
    answers = [await sales.client.post(f"{API}/quotes", FLEET, headers=key) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json["id"] == answers[1].json["id"]
    assert await sales.facts() == ["quote.created"]


async def test_statement_counts_of_quotes(sales: Sales, runtime: Runtime) -> None:
    cards = [await make_product(sales, f"Card {n}") for n in range(20)]
    retail = await make_price_list(sales, *((card, "11.00") for card in cards))
    lines = [{"product_id": card["id"], "quantity": "2"} for card in cards]
    body = {"name": "Cards", "price_list_id": retail["id"], "lines": lines}
    first = await sales.make("quotes", **body)
    with counted(runtime.db) as statements:
        quote = await sales.make("quotes", **body)
    assert (len(quote["lines"]), 0 < len(statements) <= 5) == (20, True), statements
    with counted(runtime.db) as statements:
        await sales.patch("quotes", first, lines=[line | {"quantity": "3"} for line in first["lines"]])
    assert 0 < len(statements) <= 6, statements
    with counted(runtime.db) as statements:
        await sales.act("quotes", await sales.get("quotes", first["id"]), "reprice")
    assert 0 < len(statements) <= 6, statements
    with counted(runtime.db) as statements:
        assert len(await sales.page("quotes", "limit=50")) == 2
    assert len(statements) == 1, statements


async def test_a_product_being_deleted_and_a_line_being_written_wait_for_each_other(sales: Sales) -> None:
    for _ in range(5):
        card = await sales.act("products", await make_product(sales), "revise")
        body = {"name": "Q", "lines": [{"product_id": card["id"], "quantity": "1", "unit_price": euros("1.00")}]}
        await sales.act("products", card, "activate")
        quoted, _ = await asyncio.gather(sales.try_make("quotes", **body), sales.try_act("products", card, "revise"))
        answers = await asyncio.gather(sales.delete("products", card), sales.try_make("quotes", **body))
        gone = answers[0].status == 204
        kept = quoted.status == 201 or answers[1].status == 201
        assert gone != kept, (quoted.status, [answer.status for answer in answers])


async def test_a_lead_that_was_qualified_is_quoted_under_its_campaign(sales: Sales, campaign: str) -> None:
    lead = await sales.make("leads", **ADA, campaign_id=campaign)
    qualified = await sales.act("leads", lead, "qualify")
    answer = await sales.try_act("opportunities", {"id": qualified["opportunity_id"]}, "quote")
    assert (answer.json["campaign_id"], answer.json["customer"]["id"]) == (campaign, qualified["account_id"])


@pytest.mark.parametrize("kind", ["account", "contact"])
async def test_a_quote_follows_its_customer_into_the_one_that_took_its_place(sales: Sales, kind: str) -> None:
    named = {"account": {"name": "Movers"}, "contact": {"last_name": "Lovelace"}}[kind]
    loser, survivor = [await sales.make(f"{kind}s", **named) for _ in range(2)]
    quote = await make_quote(sales, customer={"type": kind, "id": loser["id"]})
    await sales.act("quotes", quote, "activate")
    await sales.act(f"{kind}s", loser, "merge", into=survivor["id"])
    assert (await sales.get("quotes", quote["id"]))["customer"]["id"] == survivor["id"]
    assert (await sales.events())[-1]["type"] == "crm.sales.quote.updated.v1"
