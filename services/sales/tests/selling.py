"""Products with prices, and lines of them, for tests."""

from datetime import timedelta
from typing import Any

import pytest

from crm_kit import clock
from crm_kit.events.timers import TimerLoop
from crm_sales.worker import TIMERS

from .journey import Json, Sales, euros

NOBODY = "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"
VAN = {"name": "Delivery van", "quantity": "2", "unit_price": euros("100.00"), "tax_percent": 19}
FLEET = {"name": "Fleet", "lines": [VAN]}


async def make_product(sales: Sales, name: str = "Gold card", **fields: Any) -> Json:
    """Create a product for sale."""
    given: Json = {"unit": "piece", "tax_percent": 19, "list_price": euros("12.50")} | fields
    return await sales.act("products", await sales.make("products", name=name, **given), "activate")


async def make_price_list(sales: Sales, *prices: tuple[Json, str], currency: str = "EUR", **fields: Any) -> Json:
    """Create a price list with a price of each product. ``fields`` apply to every price."""
    made = await sales.make("price-lists", name="Retail", currency=currency)
    for product, amount in prices:
        price = {"amount": amount, "currency": currency}
        await sales.make("price-list-items", price_list_id=made["id"], product_id=product["id"], amount=price, **fields)
    return made


async def make_customer(sales: Sales, **fields: Any) -> Json:
    """Create an account. Return a reference to it."""
    account = await sales.make("accounts", **({"name": "Movers"} | fields))
    return {"type": "account", "id": account["id"]}


async def make_quote(sales: Sales, **fields: Any) -> Json:
    """Draft a quote for a customer."""
    given = FLEET | fields
    if "customer" not in given and "opportunity_id" not in given:
        given["customer"] = await make_customer(sales)
    return await sales.make("quotes", **given)


async def play_quotes(sales: Sales, to_somebody: Json) -> None:
    """Cause every event of a quote at least once."""
    where = {"city": "London", "country": "GB"}
    deal = await sales.make("opportunities", name="Fleet", lines=[VAN], estimated_value_source="lines")
    drafted = (await sales.try_act("opportunities", deal, "quote")).json
    await sales.patch("quotes", drafted, bill_to=where, ship_to=where, payment_terms="net_30", description="x" * 2000)
    await sales.patch("quotes", drafted, discount_percent=2.5, freight=euros("1.00"), effective_from="2026-01-01")
    await sales.patch("opportunities", deal, customer=await make_customer(sales))
    await sales.act("quotes", drafted, "assign", **to_somebody)
    for ending in ("win", "lose", "cancel"):
        offered = await sales.act("quotes", await make_quote(sales, effective_to="2099-12-31"), "activate")
        await sales.act("quotes", offered, ending)
    await sales.try_act("quotes", await sales.act("quotes", drafted, "activate"), "revise")
    assert (await sales.delete("quotes", await make_quote(sales))).status == 204
    last_day = str((clock.now() + timedelta(days=1)).date())
    await sales.act("quotes", await make_quote(sales, effective_to=last_day), "activate")
    await days_pass(sales, 3)


async def days_pass(sales: Sales, days: int) -> int:
    """Let days pass and run the timers. Return the number of changed records."""
    then = clock.now() + timedelta(days=days)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: then)
        return await TimerLoop(TIMERS, sales.runtime).fire_due()
