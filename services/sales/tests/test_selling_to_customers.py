"""Nothing new is sold to an inactive customer, and an order is submitted on credit that its customer has."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from crm_contracts.money import Money
from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import DomainError
from crm_kit.testing import Answer, principal
from crm_sales.order.domain import require_credit

from .journey import Json, Sales, euros
from .paperwork import derived, line, ordered, pay, state
from .selling import FLEET, VAN, make_quote

WAYS = ["quotes", "orders", "invoices", "copy", "activate", "revise", "convert", "submit", "contract"]


async def ready(sales: Sales, way: str, deal: Json, customer: Json) -> Callable[[], Awaitable[Answer]]:
    """Prepare a way to sell something. Return its last step."""
    match way:
        case "copy":
            return lambda: sales.try_act("opportunities", deal, "quote")
        case "activate":
            drafted = await make_quote(sales, customer=customer)
            return lambda: sales.try_act("quotes", drafted, "activate")
        case "revise" | "convert":
            offered = await sales.act("quotes", await make_quote(sales, customer=customer), "activate")
            return lambda: sales.try_act("quotes", offered, {"revise": "revise", "convert": "order"}[way])
        case "submit":
            order = await ordered(sales, customer=customer)
            return lambda: sales.try_act("orders", order, "submit")
        case "contract":
            days = {"start_date": "2090-01-01", "end_date": "2090-12-31"}
            contract = await sales.make("sales-contracts", name="Fleet", customer=customer, **days)
            return lambda: sales.try_act("sales-contracts", contract, "activate")
    return lambda: sales.try_make(way, name="Fleet", lines=FLEET["lines"], opportunity_id=deal["id"])


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_new_is_sold_to_an_inactive_customer(sales: Sales, way: str) -> None:
    account = await sales.make("accounts", name="Movers Ltd")
    customer = {"type": "account", "id": account["id"]}
    deal = await sales.make("opportunities", name="Fleet", customer=customer, lines=[VAN])
    sell = await ready(sales, way, deal, customer)
    await sales.act("accounts", account, "deactivate")
    before = len(await sales.events())
    answer = await sell()
    assert (answer.status, answer.problem) == (422, "inactive-reference"), answer.body
    assert answer.json["errors"][0]["pointer"] == "/customer"
    assert len(await sales.events()) == before
    await sales.act("accounts", account, "activate")
    assert (await sell()).status in (200, 201)


def amount(units: str) -> Money:
    return Money(Decimal(units), "EUR")


def test_the_limit_itself_may_be_used_up() -> None:
    require_credit(amount("100.00"), amount("60.00"), amount("40.00"), readable=True)
    with pytest.raises(DomainError, match="credit-limit") as refused:
        require_credit(amount("100.00"), amount("60.00"), amount("40.01"), readable=True)
    assert refused.value.members == {
        "limit": euros("100.00"),
        "open": euros("60.00"),
        "order": euros("40.01"),
        "currency": "EUR",
    }


async def customer_of(sales: Sales, **fields: object) -> Json:
    """A reference to an account with these fields."""
    return {"type": "account", "id": (await sales.make("accounts", name="Movers Ltd", **fields))["id"]}


async def test_an_account_on_hold_gets_nothing_on_credit_unless_somebody_who_may_says_so(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    order = await ordered(sales, customer=await customer_of(sales, credit_hold=True))
    answer = await sales.try_act("orders", order, "submit")
    assert (answer.status, answer.problem) == (409, "credit-hold")
    for held in ("00000", "44044"):
        seller = sales_for(principal(credit_override=held))
        answer = await seller.try_act("orders", order, "submit", force=True)
        assert (answer.status, answer.problem) == (403, "forbidden")
        assert "credit_override" in answer.json["detail"]
    own_only = sales_for(principal(credit_override="00100"))
    assert (await own_only.try_act("orders", order, "submit", force=True)).status == 403
    theirs = await own_only.make(
        "orders", name="Chairs", customer=await customer_of(own_only, credit_hold=True), lines=[line()]
    )
    assert state(await own_only.act("orders", theirs, "submit", force=True)) == "submitted/submitted"
    # Who may not change the account may hold the right for it.
    manager = sales_for(principal(account="04000"))
    assert state(await manager.act("orders", order, "submit", force=True)) == "submitted/submitted"
    assert (await sales.events())[-1]["data"]["credit_forced"] is True


async def test_what_is_ordered_billed_and_paid_counts_towards_the_limit(sales: Sales) -> None:
    customer = await customer_of(sales, credit_limit=euros("1000.00"))
    first = await sales.act("orders", await ordered(sales, line(quantity="4"), customer=customer), "submit")

    async def open_amount() -> str:
        answer = await sales.try_act("orders", await ordered(sales, line(price="1000.01"), customer=customer), "submit")
        assert (answer.status, answer.problem) == (409, "credit-limit")
        assert (answer.json["limit"], answer.json["order"]) == (euros("1000.00"), euros("1000.01"))
        found: str = answer.json["open"]["amount"]
        return found

    assert await open_amount() == "400.00"
    half = {"lines": [{"line_id": first["lines"][0]["id"], "quantity": "3"}]}
    invoice = await derived(sales, "orders", first, "invoice", **half)
    assert await open_amount() == "400.00"
    invoice = await sales.act("invoices", invoice, "issue")
    assert await open_amount() == "400.00"
    await pay(sales, invoice, "250.00")
    assert await open_amount() == "150.00"
    # The credit gives the fifty back that are not paid, and may be billed again; what was paid is paid back.
    note = await derived(sales, "invoices", invoice, "credit", reason="Wrong", lines=half["lines"])
    note = await sales.act("invoices", note, "issue")
    assert await open_amount() == "150.00"
    answer = await sales.try_act("orders", await ordered(sales, line(price="850.00"), customer=customer), "submit")
    assert answer.status == 200
    assert (await sales.events())[-1]["data"]["credit_forced"] is False


async def test_the_limit_and_what_is_open_are_told_only_to_readers_of_the_account(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    customer = await customer_of(sales, credit_limit=euros("77.00"))
    order = await ordered(sales, customer=customer)
    answer = await sales_for(principal(account=Depth.NONE)).try_act("orders", order, "submit")
    assert (answer.status, answer.problem, answer.json["order"]) == (409, "credit-limit", euros("100.00"))
    assert {"limit", "open"}.isdisjoint(answer.json)
    assert answer.json["detail"].startswith("The order exceeds the credit of its customer. Ask somebody")
    assert "77.00" not in str(answer.json)
    answer = await sales.try_act("orders", order, "submit")
    assert (answer.json["limit"], answer.json["open"]) == (euros("77.00"), euros("0.00"))


async def test_two_orders_at_once_never_exceed_the_limit_together(sales: Sales) -> None:
    customer = await customer_of(sales, credit_limit=euros("250.00"))
    orders = [await ordered(sales, customer=customer) for _ in range(6)]
    answers = await asyncio.gather(*(sales.try_act("orders", order, "submit") for order in orders))
    assert Counter(answer.status for answer in answers) == {200: 2, 409: 4}
