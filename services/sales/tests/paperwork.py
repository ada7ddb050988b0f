"""Orders and invoices for tests: lines without a product, a customer account, and the steps in between."""

from decimal import Decimal
from typing import Any

from .journey import Json, Sales, euros
from .selling import days_pass


def line(name: str = "Chair", quantity: str = "1", price: str = "100.00", **more: Any) -> Json:
    """A line without a product."""
    return {"name": name, "quantity": quantity, "unit_price": euros(price), **more}


async def buyer(sales: Sales) -> Json:
    """A reference to a customer account."""
    account = await sales.make("accounts", name="Movers Ltd")
    return {"type": "account", "id": account["id"]}


async def ordered(sales: Sales, *lines: Json, **fields: Any) -> Json:
    """An order that is not submitted."""
    customer = fields.pop("customer", None) or await buyer(sales)
    return await sales.make("orders", name="Furniture", customer=customer, lines=list(lines) or [line()], **fields)


async def submitted(sales: Sales, *lines: Json, **fields: Any) -> Json:
    """A submitted order."""
    return await sales.act("orders", await ordered(sales, *lines, **fields), "submit")


async def drafted(sales: Sales, *lines: Json, **fields: Any) -> Json:
    """An invoice without an order that is not issued."""
    customer = fields.pop("customer", None) or await buyer(sales)
    return await sales.make("invoices", name="Furniture", customer=customer, lines=list(lines) or [line()], **fields)


async def issued(sales: Sales, *lines: Json, **fields: Any) -> Json:
    """An issued invoice."""
    return await sales.act("invoices", await drafted(sales, *lines, **fields), "issue")


async def derived(sales: Sales, collection: str, record: Json, command: str, **body: Any) -> Json:
    """Run a command that makes a document of a record: the quote's order, the order's invoice, the invoice's credit
    note."""
    answer = await sales.try_act(collection, record, command, **body)
    assert answer.status == 201, answer.body
    made: Json = answer.json
    return made


def part(record: Json, position: int, quantity: str) -> Json:
    """A quantity of a line."""
    return {"line_id": record["lines"][position]["id"], "quantity": quantity}


async def pay(sales: Sales, invoice: Json, amount: str) -> Json:
    """Pay by bank transfer."""
    return await sales.act("invoices", invoice, "pay", amount=euros(amount), method="bank_transfer")


def state(record: Json) -> str:
    """``status/status_reason``."""
    return f"{record['status']}/{record['status_reason']}"


def summed(records: list[Json], field: str) -> Decimal:
    """Return the sum of an amount over several records."""
    return sum((Decimal(record[field]["amount"]) for record in records if record[field]), Decimal(0))


async def play_orders(sales: Sales, to_somebody: Json) -> None:
    """Cause every event of an order at least once."""
    where = {"city": "London", "country": "GB"}
    order = await ordered(sales, line(quantity="3"), bill_to=where, ship_to=where)
    for command in ("hold", "resume", "lock-prices", "unlock-prices"):
        await sales.act("orders", order, command)
    await sales.act("orders", order, "assign", **to_somebody)
    await sales.patch("orders", order, freight=euros("9.99"), requested_delivery="2030-01-01", discount_percent=2.5)
    await sales.act("orders", order, "submit")
    await sales.act("orders", order, "fulfill", lines=[part(order, 0, "1")])
    await sales.act("orders", order, "fulfill")
    await derived(sales, "orders", order, "invoice")
    await sales.act("orders", await ordered(sales), "cancel")
    assert (await sales.delete("orders", await ordered(sales))).status == 204


async def play_invoices(sales: Sales, to_somebody: Json) -> None:
    """Cause every event of an invoice at least once."""
    invoice = await drafted(
        sales,
        line(quantity="3"),
        payment_conditions={"days": 10, "discount_percent": 1.5, "discount_days": 5},
    )
    await sales.patch("invoices", invoice, discount_amount=euros("1.00"), description="Thank you")
    await sales.act("invoices", invoice, "assign", **to_somebody)
    await sales.act("invoices", invoice, "issue")
    await sales.act("invoices", invoice, "pay", amount=euros("99.00"), method="card", reference="Receipt 7")
    note = await derived(sales, "invoices", invoice, "credit", reason="Broken", lines=[part(invoice, 0, "1")])
    await sales.act("invoices", note, "issue")
    assert await days_pass(sales, 11) == 1
    left = (await sales.get("invoices", invoice["id"]))["balance"]["amount"]
    await pay(sales, invoice, left)
    await sales.act("invoices", invoice, "payments/1/reverse", reason="Returned by the bank")
    settled = await derived(sales, "invoices", await issued(sales), "credit", reason="All of it")
    await sales.act("invoices", settled, "issue")
    await sales.act("invoices", await drafted(sales), "cancel")
    assert (await sales.delete("invoices", await drafted(sales))).status == 204
