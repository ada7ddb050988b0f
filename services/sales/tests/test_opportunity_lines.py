"""Lines of a deal, and the estimated value that follows from them."""

from crm_kit.process.runtime import Runtime
from crm_kit.testing import counted

from .journey import ADA, Json, Sales, euros
from .selling import VAN, make_customer, make_price_list, make_product

BY_LINES = {"name": "Forty cars", "estimated_value_source": "lines"}


async def priced(sales: Sales) -> tuple[Json, Json]:
    """Create a product, and a price list with it."""
    card = await make_product(sales)
    return card, await make_price_list(
        sales, (card, "11.00"), volume_breaks=[{"min_quantity": "10", "discount_percent": 5}]
    )


async def test_a_deal_without_lines_is_as_it_was(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Forty cars", estimated_value=euros("900.00"))
    told = ("estimated_value_source", "price_list_id", "lines", "estimated_value")
    assert [deal[field] for field in told] == ["user", None, [], euros("900.00")]


async def test_lines_say_what_a_deal_is_worth_where_they_shall(sales: Sales) -> None:
    card, retail = await priced(sales)
    lines = [{"product_id": card["id"], "quantity": "10"}, VAN]
    deal = await sales.make("opportunities", **BY_LINES, price_list_id=retail["id"], lines=lines)
    assert deal["estimated_value"] == deal["estimated_value_base"] == euros("304.50")
    fewer = await sales.patch("opportunities", deal, lines=deal["lines"][:1])
    assert (fewer["estimated_value"], len(fewer["lines"])) == (euros("104.50"), 1)
    none = await sales.patch("opportunities", deal, lines=[])
    assert (none["estimated_value"], none["estimated_value_base"], none["exchange_rate"]) == (None, None, None)
    assert (await sales.patch("opportunities", deal, rating="hot"))["estimated_value"] is None


async def test_a_deal_may_be_worth_something_else_than_its_lines(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Forty cars", lines=[VAN], estimated_value=euros("150.00"))
    assert deal["estimated_value"] == euros("150.00")
    summed = await sales.patch("opportunities", deal, estimated_value_source="lines")
    assert summed["estimated_value"] == euros("200.00")
    own = await sales.patch("opportunities", deal, estimated_value_source="user", estimated_value=euros("99.00"))
    assert (own["estimated_value"], len(own["lines"])) == (euros("99.00"), 1)


async def test_a_value_beside_lines_that_decide_is_refused_but_may_be_sent_back(sales: Sales) -> None:
    answer = await sales.try_make("opportunities", **BY_LINES, lines=[VAN], estimated_value=euros("1.00"))
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("value-from-lines", "/estimated_value")
    deal = await sales.make("opportunities", **BY_LINES, lines=[VAN])
    for given in (euros("1.00"), None):
        answer = await sales.try_patch("opportunities", deal, estimated_value=given)
        assert (answer.status, answer.problem) == (422, "value-from-lines")
    same = await sales.patch("opportunities", deal, estimated_value=deal["estimated_value"], lines=deal["lines"])
    assert same["version"] == 1


async def test_the_amounts_of_a_deal_are_in_one_currency(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    dollars = {"amount": "10.00", "currency": "USD"}
    imported = VAN | {"unit_price": dollars}
    answer = await sales.try_make("opportunities", name="Fleet", estimated_value=euros("1.00"), lines=[imported])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == (
        "currency-mismatch",
        "/lines/0/unit_price/currency",
    )
    deal = await sales.make("opportunities", name="Fleet", lines=[imported])
    answer = await sales.try_patch("opportunities", deal, estimated_value=euros("1.00"))
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("currency-mismatch", "/estimated_value/currency")
    retail = await sales.make("price-lists", name="Retail", currency="EUR")
    answer = await sales.try_patch("opportunities", deal, price_list_id=retail["id"])
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("currency-mismatch", "/price_list_id")
    summed = await sales.patch("opportunities", deal, estimated_value_source="lines")
    assert (summed["estimated_value_base"], summed["exchange_rate"]) == (euros("18.00"), "0.9")
    answer = await sales.try_act("opportunities", deal, "win", actual_value=euros("1.00"))
    assert answer.status == 422


async def test_a_new_price_reaches_a_deal_when_its_lines_are_sent(sales: Sales) -> None:
    card, retail = await priced(sales)
    line = {"product_id": card["id"], "quantity": "1"}
    deal = await sales.make("opportunities", **BY_LINES, price_list_id=retail["id"], lines=[line])
    [item] = await sales.page("price-list-items", f"price_list_id={retail['id']}")
    await sales.patch("price-list-items", item, amount=euros("12.00"))
    assert (await sales.patch("opportunities", deal, rating="hot"))["estimated_value"] == euros("11.00")
    assert (await sales.patch("opportunities", deal, lines=deal["lines"]))["estimated_value"] == euros("12.00")
    dearer = await make_price_list(sales, (card, "13.00"))
    assert (await sales.patch("opportunities", deal, price_list_id=dearer["id"]))["estimated_value"] == euros("13.00")


async def test_a_deal_is_won_with_what_its_lines_say(sales: Sales) -> None:
    deal = await sales.make("opportunities", **BY_LINES, lines=[VAN], customer=await make_customer(sales))
    assert (await sales.act("opportunities", deal, "win"))["actual_value"] == euros("200.00")


async def test_products_and_price_lists_of_a_deal_stay(sales: Sales) -> None:
    card, retail = await priced(sales)
    line = {"product_id": card["id"], "quantity": "1"}
    deal = await sales.make("opportunities", **BY_LINES, price_list_id=retail["id"], lines=[line])
    await sales.act("products", card, "revise")
    for collection, record in (("products", card), ("price-lists", retail)):
        answer = await sales.delete(collection, record)
        assert (answer.status, answer.problem) == (409, "in-use")
        assert deal["id"] in [reference.get("id") for reference in answer.json["references"]]


async def test_a_qualified_lead_makes_a_deal_that_may_have_lines(sales: Sales) -> None:
    qualified = await sales.act("leads", await sales.make("leads", **ADA), "qualify")
    deal = await sales.patch("opportunities", {"id": qualified["opportunity_id"]}, lines=[VAN])
    assert (deal["lines"][0]["net"], deal["estimated_value"]) == (euros("200.00"), euros("1200.00"))


async def test_statement_counts_of_a_deal_with_lines(sales: Sales, runtime: Runtime) -> None:
    cards = [await make_product(sales, f"Card {n}") for n in range(20)]
    retail = await make_price_list(sales, *((card, "11.00") for card in cards))
    lines = [{"product_id": card["id"], "quantity": "2"} for card in cards]
    await sales.make("opportunities", name="Draws a block of numbers")
    with counted(runtime.db) as statements:
        await sales.make("opportunities", **BY_LINES, price_list_id=retail["id"], lines=lines)
    assert 0 < len(statements) <= 6, statements
