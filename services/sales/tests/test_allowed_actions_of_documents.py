"""``allowed_actions`` of orders, invoices and credit notes is exact in every state, whatever their lines."""

from typing import Any

import pytest

from crm_sales.invoice.domain import LIFECYCLE as INVOICE
from crm_sales.order.domain import LIFECYCLE as ORDER

from .journey import Json, Sales, euros
from .paperwork import derived, drafted, issued, line, ordered

MAKES_ANOTHER = {"invoice", "credit"}
CHANGES_NOTHING = {"reprice"}
ORDERS: list[list[str]] = [
    [],
    ["hold"],
    ["lock-prices"],
    ["lock-prices", "unlock-prices"],
    ["cancel"],
    ["submit"],
    ["submit", "fulfill half"],
    ["submit", "fulfill"],
    ["submit", "invoice half"],
    ["submit", "fulfill half", "invoice"],
    ["submit", "fulfill", "invoice"],
]
INVOICES: list[list[str]] = [
    [],
    ["cancel"],
    ["issue"],
    ["issue", "pay half"],
    ["issue", "pay half", "pay half"],
    ["issue", "credit half"],
    ["issue", "credit"],
]
NOTES: list[list[str]] = [[], ["cancel"], ["issue"]]


def body_of(step: str, record: Json) -> dict[str, Any]:
    """Return the body of a step. It uses half of two pieces at 100.00."""
    command, _, half = step.partition(" ")
    if command == "reverse-payment":
        return {"reason": "Returned by the bank"}
    lines = {"lines": [{"line_id": record["lines"][0]["id"], "quantity": "1"}]} if half and command != "pay" else {}
    match command:
        case "pay":
            return {"amount": euros("100.00"), "method": "cash"}
        case "credit":
            return {"reason": "Returned", **lines}
    return lines


async def take(sales: Sales, collection: str, record: Json, step: str) -> Json:
    """Take one step. Return the record after it."""
    answer = await sales.try_act(collection, record, step.partition(" ")[0], **body_of(step, record))
    assert answer.status in (200, 201), answer.body
    return await sales.get(collection, record["id"])


def path_of(command: str, record: Json) -> str:
    """Return the path of a command below its record. That of a payment names the last payment that stands."""
    if command != "reverse-payment":
        return command
    standing = [number for number, one in enumerate(record["payments"], start=1) if not one["reversed_at"]]
    return f"payments/{standing[-1] if standing else 1}/reverse"


async def hold_to_the_truth(sales: Sales, collection: str, record: Json, command: str) -> None:
    answer = await sales.try_act(collection, record, path_of(command, record), **body_of(command, record))
    if command not in record["allowed_actions"]:
        assert (answer.status, answer.problem) == (409, "illegal-transition")
        assert [*answer.json["allowed"], "assign"] == record["allowed_actions"]
        return
    assert answer.status == (201 if command in MAKES_ANOTHER else 200)
    version = (await sales.get(collection, record["id"]))["version"]
    assert version == record["version"] + (command not in CHANGES_NOTHING)


@pytest.mark.parametrize("way", ORDERS, ids="-".join)
async def test_allowed_actions_of_orders_tell_the_truth(sales: Sales, way: list[str]) -> None:
    for command in ORDER.moves:
        order = await ordered(sales, line(quantity="2"))
        for step in way:
            order = await take(sales, "orders", order, step)
        await hold_to_the_truth(sales, "orders", order, command)


@pytest.mark.parametrize("way", INVOICES, ids="-".join)
async def test_allowed_actions_of_invoices_tell_the_truth(sales: Sales, way: list[str]) -> None:
    for command in INVOICE.moves:
        invoice = await drafted(sales, line(quantity="2"))
        for step in way:
            invoice = await take(sales, "invoices", invoice, step)
        await hold_to_the_truth(sales, "invoices", invoice, command)


@pytest.mark.parametrize("paid", ["owed", "paid"])
@pytest.mark.parametrize("way", NOTES, ids="-".join)
async def test_allowed_actions_of_credit_notes_tell_the_truth(sales: Sales, way: list[str], paid: str) -> None:
    for command in INVOICE.moves:
        invoice = await issued(sales)
        if paid == "paid":
            await take(sales, "invoices", invoice, "pay")
        note = await derived(sales, "invoices", invoice, "credit", reason="Returned")
        for step in way:
            note = await take(sales, "invoices", note, step)
        await hold_to_the_truth(sales, "invoices", note, command)
