"""Unit prices with more decimals than their currency, from price lists and imports to the credit note."""

import pytest

from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client

from .journey import API, Json, Sales, euros
from .paperwork import buyer, derived, part
from .selling import make_price_list, make_product
from .test_opportunity_import import rows_of

FINE = euros("0.00125")


def line(quantity: str = "1000", **more: object) -> Json:
    return {"name": "Sheet", "quantity": quantity, "unit_price": FINE, "tax_percent": 19} | more


async def test_a_fine_price_goes_from_quote_to_credit_note_and_lines_round_to_the_currency(sales: Sales) -> None:
    quote = await sales.make("quotes", name="Paper", customer=await buyer(sales), lines=[line(), line("3")])
    first, second = quote["lines"]
    assert (first["unit_price"], first["exact_unit_price"], first["net"]) == (euros("0.00"), FINE, euros("1.25"))
    assert (second["net"], quote["subtotal"]) == (euros("0.00"), euros("1.25"))
    # Lines go back as they were read.
    again = await sales.patch("quotes", quote, lines=quote["lines"])
    assert (again["lines"], again["version"]) == (quote["lines"], 1)
    changed = await sales.patch("quotes", quote, lines=[first | {"unit_price": euros("2.00")}, second])
    assert (changed["lines"][0]["exact_unit_price"], changed["lines"][0]["net"]) == (None, euros("2000.00"))
    quote = await sales.patch("quotes", changed, lines=quote["lines"])
    order = await derived(sales, "quotes", await sales.act("quotes", quote, "activate"), "order")
    edited = await sales.patch("orders", order, lines=[order["lines"][0] | {"quantity": "2000"}])
    assert (edited["lines"][0]["exact_unit_price"], edited["subtotal"]) == (FINE, euros("2.50"))
    await sales.act("orders", order, "submit")
    invoice = await derived(sales, "orders", order, "invoice", lines=[part(edited, 0, "400")])
    assert (invoice["lines"][0]["exact_unit_price"], invoice["subtotal"]) == (FINE, euros("0.50"))
    note = await derived(sales, "invoices", await sales.act("invoices", invoice, "issue"), "credit", reason="Wet")
    assert (note["lines"][0]["exact_unit_price"], note["total"]) == (FINE, invoice["total"])


async def test_a_price_list_has_fine_prices_and_their_discounts_are_as_fine(sales: Sales) -> None:
    sheet = await make_product(sales)
    breaks = [{"min_quantity": "100", "discount_percent": 10}]
    retail = await make_price_list(sales, (sheet, "0.00125"), volume_breaks=breaks)
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    assert (item["amount"], item["exact_amount"], item["amount_base"]) == (euros("0.00"), FINE, euros("0.00"))
    deal = await sales.make(
        "opportunities",
        name="Paper",
        price_list_id=retail["id"],
        lines=[{"product_id": sheet["id"], "quantity": "10000"}],
    )
    [sold] = deal["lines"]
    assert (sold["exact_unit_price"], sold["exact_volume_discount"]) == (FINE, euros("0.000125"))
    assert (sold["volume_discount"], sold["net"]) == (euros("0.00"), euros("11.25"))
    kept = await sales.patch("price-list-items", item, amount=item["amount"], exact_amount=FINE)
    assert kept["version"] == item["version"]
    dear = await sales.patch("price-list-items", item, amount=euros("0.5"))
    assert (dear["amount"], dear["exact_amount"]) == (euros("0.50"), None)
    fine = await sales.patch("price-list-items", item, exact_amount=euros("0.123456"))
    assert (fine["amount"], fine["exact_amount"]) == (euros("0.12"), euros("0.123456"))
    assert (await sales.patch("price-list-items", item, exact_amount=None))["exact_amount"] is None


def as_an_old_client_knows(line: Json) -> Json:
    """Lines without the members that came later, as a client sends them back that was made before."""
    return {name: value for name, value in line.items() if not name.startswith("exact_")}


@pytest.mark.parametrize("collection", ["opportunities", "quotes", "orders", "invoices"])
async def test_a_client_that_does_not_know_exact_prices_keeps_them(sales: Sales, collection: str) -> None:
    fields = {"name": "Paper"} if collection == "opportunities" else {"name": "Paper", "customer": await buyer(sales)}
    document = await sales.make(collection, **fields, lines=[line(), line("3")])
    old = [as_an_old_client_knows(one) for one in document["lines"]]
    again = await sales.patch(collection, document, lines=old)
    assert (again["lines"], again["version"]) == (document["lines"], document["version"])
    more = await sales.patch(collection, document, lines=[old[0] | {"quantity": "2000"}, old[1]])
    assert (more["lines"][0]["exact_unit_price"], more["lines"][0]["net"]) == (FINE, euros("2.50"))
    # A price that a person changed is meant, and null drops the exact one.
    dear = await sales.patch(collection, more, lines=[old[0] | {"unit_price": euros("0.01")}, old[1]])
    assert (dear["lines"][0]["exact_unit_price"], dear["lines"][0]["net"]) == (None, euros("10.00"))
    free = await sales.patch(collection, dear, lines=[dear["lines"][0], old[1] | {"exact_unit_price": None}])
    assert (free["lines"][1]["exact_unit_price"], free["lines"][1]["net"]) == (None, euros("0.00"))


async def test_a_price_list_item_keeps_its_exact_price_when_the_rounded_one_comes_back(sales: Sales) -> None:
    retail = await make_price_list(sales, (await make_product(sales), "0.00125"))
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    kept = await sales.patch("price-list-items", item, amount=item["amount"], percent=None)
    assert (kept["exact_amount"], kept["version"]) == (FINE, item["version"])
    assert (await sales.patch("price-list-items", item, amount=item["amount"], exact_amount=None))[
        "exact_amount"
    ] is None


@pytest.mark.parametrize("amount", ["1.200", "0.1234567", "-1.00", "1,5"])
async def test_what_may_mean_something_else_is_refused(sales: Sales, amount: str) -> None:
    body = {"name": "Paper", "customer": await buyer(sales), "lines": [line(unit_price=euros(amount))]}
    answer = await sales.client.post(f"{API}/orders", body)
    assert (answer.status, answer.json["errors"][0]["pointer"].startswith("/lines/0/unit_price")) == (422, True)


async def test_an_import_takes_fine_prices(client: Client, runtime: Runtime, sales: Sales) -> None:
    sheet = await make_product(sales)
    header = "name,product_id,quantity,unit_price.amount,unit_price.currency"
    rows = (f"Paper,{sheet['id']},1000,0.00125,EUR", f"Card,{sheet['id']},1000,1.200,EUR")
    job, errors = await rows_of(client, runtime, *rows, header=header)
    assert (job["done"], job["failed"]) == (1, 1)
    assert "unit_price.amount" in errors[0]
    [deal] = await sales.page("opportunities")
    assert (deal["lines"][0]["exact_unit_price"], deal["lines"][0]["net"]) == (FINE, euros("1.25"))


async def test_a_product_has_a_fine_list_price_and_cost_and_lines_and_percentages_take_them(sales: Sales) -> None:
    sheet = await sales.make("products", name="Sheet", list_price=FINE, standard_cost=euros("0.0009"))
    assert (sheet["list_price"], sheet["exact_list_price"], sheet["list_price_base"]) == (
        euros("0.00"),
        FINE,
        euros("0.00"),
    )
    assert (sheet["standard_cost"], sheet["exact_standard_cost"]) == (euros("0.00"), euros("0.0009"))
    old = {"list_price": sheet["list_price"], "standard_cost": sheet["standard_cost"]}
    assert (await sales.patch("products", sheet, **old))["version"] == sheet["version"]
    half = await sales.make("price-lists", name="Half", currency="EUR")
    percent = {"pricing_method": "percent_of_list", "percent": 50}
    await sales.make("price-list-items", price_list_id=half["id"], product_id=sheet["id"], **percent)
    refused = await sales.try_patch("products", sheet, list_price=None)
    assert (refused.status, refused.problem) == (422, "list-price-required")
    cheap = await sales.patch("products", sheet, exact_standard_cost=None)
    assert (cheap["standard_cost"], cheap["exact_standard_cost"], cheap["exact_list_price"]) == (
        euros("0.00"),
        None,
        FINE,
    )
    await sales.act("products", sheet, "activate")
    lines = [{"product_id": sheet["id"], "quantity": "1000"}]
    listed = await sales.make("opportunities", name="Paper", lines=lines)
    assert (listed["lines"][0]["exact_unit_price"], listed["lines"][0]["net"]) == (FINE, euros("1.25"))
    halved = await sales.make("opportunities", name="Paper", price_list_id=half["id"], lines=lines)
    assert (halved["lines"][0]["exact_unit_price"], halved["lines"][0]["net"]) == (euros("0.000625"), euros("0.63"))
