"""The sale in the demo: a card plan for six months is quoted, accepted, ordered, invoiced and paid."""

from dataclasses import dataclass
from typing import Any

from crm_local.demo.client import Person
from crm_local.demo.stage import money

MONTHS = 6
FEE = "20.00"
RATE_OFF = 10
"""The discount in percent from six months on."""


@dataclass(frozen=True)
class Plan:
    """The product and its prices."""

    product_id: str
    price_list_id: str


async def stock(administrator: Person, run: str, currency: str) -> Plan:
    """Create the plan as a product, with a price list that has volume discounts."""
    fee = {"amount": FEE, "currency": currency}
    body = {
        "name": f"Gold card plan {run}",
        "type": "subscription",
        "unit": "month",
        "list_price": fee,
        "tax_percent": 19,
    }
    product = await administrator.post("/products", body)
    await administrator.post(f"/products/{product['id']}/activate")
    prices = await administrator.post("/price-lists", {"name": f"Cards {run}", "currency": currency})
    item = {"price_list_id": prices["id"], "product_id": product["id"], "pricing_method": "amount", "amount": fee}
    breaks = [{"min_quantity": str(MONTHS), "discount_percent": RATE_OFF}]
    await administrator.post("/price-list-items", {**item, "volume_breaks": breaks})
    return Plan(product["id"], prices["id"])


async def sell(seller: Person, opportunity_id: str, plan: Plan) -> dict[str, Any]:
    """Sell the plan, from the lines of the deal to a paid invoice. Return the invoice."""
    deal = await seller.get(f"/opportunities/{opportunity_id}")
    lines = [{"product_id": plan.product_id, "quantity": str(MONTHS)}]
    body = {"price_list_id": plan.price_list_id, "lines": lines}
    deal = await seller.patch(f"/opportunities/{opportunity_id}", body, deal["version"])
    quote = await seller.post(f"/opportunities/{opportunity_id}/quote")
    await seller.post(f"/quotes/{quote['id']}/activate")
    order = await seller.post(f"/quotes/{quote['id']}/order")
    for command in ("submit", "fulfill"):
        await seller.post(f"/orders/{order['id']}/{command}")
    invoice = await seller.post(f"/orders/{order['id']}/invoice")
    invoice = await seller.post(f"/invoices/{invoice['id']}/issue")
    payment = {"amount": invoice["balance"], "method": "direct_debit", "reference": invoice["number"]}
    return await seller.post(f"/invoices/{invoice['id']}/pay", payment)


def told(invoice: dict[str, Any]) -> str:
    """Return one line about the sale."""
    [line] = invoice["lines"]
    price, off = money(line["unit_price"]), money(line["volume_discount"])
    return (
        f"{line['quantity']} months at {price}, less {off} each: {money(invoice['total'])} with tax; "
        f"{invoice['number']} is {invoice['status']}"
    )
