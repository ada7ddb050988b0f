"""Invoices: drafted, issued with a number, paid in parts up to the balance, overdue by time."""

import asyncio
from collections import Counter
from datetime import date, timedelta

import pytest

from crm_kit import clock
from crm_kit.process.runtime import Runtime
from crm_kit.testing import People
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.overdue import due_and_unpaid

from .journey import Json, Sales, euros
from .paperwork import buyer, derived, drafted, issued, line, ordered, pay, state, submitted
from .plans import plan_of
from .selling import days_pass


async def test_an_invoice_by_hand_is_a_draft_without_number(sales: Sales) -> None:
    invoice = await drafted(sales, line(quantity="2", tax_percent=19), payment_terms="net_30")
    assert (state(invoice), invoice["number"], invoice["kind"]) == ("draft/draft", None, "invoice")
    assert (invoice["issue_date"], invoice["due_date"]) == (None, None)
    assert (invoice["total"], invoice["balance"]) == (euros("238.00"), euros("238.00"))
    assert invoice["allowed_actions"] == ["issue", "cancel", "assign"]
    changed = await sales.patch("invoices", invoice, lines=[line(quantity="3")], freight=euros("1.00"))
    assert (changed["total"], changed["balance"]) == (euros("301.00"), euros("301.00"))


@pytest.mark.parametrize(
    ("terms", "days"),
    [(None, 0), ("due_on_receipt", 0), ("net_10", 10), ("net_15", 15), ("net_30", 30), ("net_45", 45), ("net_60", 60)],
)
async def test_an_invoice_is_due_by_its_terms(sales: Sales, terms: str | None, days: int) -> None:
    invoice = await issued(sales, payment_terms=terms)
    issue_date = date.fromisoformat(invoice["issue_date"])
    assert date.fromisoformat(invoice["due_date"]) == issue_date + timedelta(days=days)
    told = (await sales.events())[-1]["data"]
    assert (told["total"], told["due_date"]) == (invoice["total"], invoice["due_date"])


async def test_a_due_date_that_is_given_is_kept_and_cannot_be_past(sales: Sales) -> None:
    later = (clock.now().date() + timedelta(days=90)).isoformat()
    assert (await issued(sales, payment_terms="net_10", due_date=later))["due_date"] == later
    past = await drafted(sales, due_date="2020-01-01")
    answer = await sales.try_act("invoices", past, "issue")
    assert (answer.status, answer.problem) == (422, "due-before-issue")


async def test_the_day_of_issue_is_the_organisations(sales: Sales, people: People) -> None:
    dates = set()
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        await people.organization(time_zone=zone)
        dates.add((await issued(sales))["issue_date"])
    # The two zones are 25 hours apart, so their dates always differ.
    assert len(dates) == 2


async def test_an_issued_invoice_is_not_edited_or_deleted(sales: Sales) -> None:
    invoice = await issued(sales)
    answer = await sales.try_patch("invoices", invoice, name="Other")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    answer = await sales.delete("invoices", invoice)
    assert (answer.status, answer.problem) == (409, "not-deletable")
    assert (await sales.delete("invoices", await drafted(sales))).status == 204


async def test_an_invoice_needs_lines_and_somebody_who_owes_it(sales: Sales) -> None:
    empty = await sales.make("invoices", name="Nothing", customer=await buyer(sales))
    answer = await sales.try_act("invoices", empty, "issue")
    assert (answer.status, answer.problem) == (422, "lines-required")
    nobodys = await sales.make("invoices", name="Chairs", lines=[line()])
    answer = await sales.try_act("invoices", nobodys, "issue")
    assert (answer.status, answer.problem) == (422, "customer-required")


async def test_partial_and_complete_follow_from_what_was_paid(sales: Sales) -> None:
    invoice = await issued(sales)
    partly = await pay(sales, invoice, "40.00")
    assert (state(partly), partly["paid_total"], partly["balance"]) == ("paid/partial", euros("40.00"), euros("60.00"))
    assert partly["payments"][0]["method"] == "bank_transfer"
    paid = await pay(sales, invoice, "60.00")
    assert (state(paid), paid["balance"], paid["paid_total_base"]) == ("paid/complete", euros("0.00"), euros("100.00"))
    assert paid["allowed_actions"] == ["reverse-payment", "credit", "assign"]
    events = (await sales.events())[-2:]
    assert [event["type"].split(".")[3] for event in events] == ["partially_paid", "paid"]
    assert [event["data"]["amount"] for event in events] == [euros("40.00"), euros("60.00")]


@pytest.mark.parametrize(
    ("payment", "slug"),
    [
        ({"amount": euros("100.01")}, "overpayment"),
        ({"amount": euros("0.00")}, "nothing-paid"),
        ({"amount": {"amount": "1.00", "currency": "USD"}}, "currency-mismatch"),
        ({"amount": euros("1.00"), "paid_at": "2999-01-01T00:00:00Z"}, "in-the-future"),
    ],
)
async def test_a_payment_that_cannot_be_is_refused(sales: Sales, payment: Json, slug: str) -> None:
    invoice = await issued(sales)
    answer = await sales.try_act("invoices", invoice, "pay", method="cash", **payment)
    assert (answer.status, answer.problem) == (422, slug)
    assert (await sales.get("invoices", invoice["id"]))["version"] == invoice["version"]


async def test_a_payment_that_is_retried_is_made_once(sales: Sales) -> None:
    invoice = await issued(sales)
    path, body = f"/api/v1/invoices/{invoice['id']}/pay", {"amount": euros("60.00"), "method": "card"}
    answers = [await sales.client.post(path, body, headers={"idempotency-key": "pay-1"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert (await sales.get("invoices", invoice["id"]))["paid_total"] == euros("60.00")


async def test_twenty_payments_at_once_never_exceed_what_is_owed(sales: Sales) -> None:
    invoice = await issued(sales)
    body = {"amount": euros("30.00"), "method": "cash"}
    answers = await asyncio.gather(*(sales.try_act("invoices", invoice, "pay", **body) for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {200: 3, 422: 17}
    now = await sales.get("invoices", invoice["id"])
    assert (now["paid_total"], now["balance"]) == (euros("90.00"), euros("10.00"))


async def test_an_invoice_over_nothing_is_paid_when_it_is_issued(sales: Sales) -> None:
    assert state(await issued(sales, line(price="0.00"))) == "paid/complete"


async def test_an_issued_invoice_that_is_canceled_keeps_its_number(sales: Sales) -> None:
    invoice = await issued(sales)
    canceled = await sales.act("invoices", invoice, "cancel")
    assert (state(canceled), canceled["number"]) == ("canceled/canceled", invoice["number"])
    assert canceled["balance_base"] == euros("0.00")
    later = await issued(sales)
    assert later["number"] == f"INV-{int(invoice['number'][4:]) + 1:05d}"


async def test_what_was_paid_is_not_canceled(sales: Sales) -> None:
    partly = await pay(sales, await issued(sales), "1.00")
    answer = await sales.try_act("invoices", partly, "cancel")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert answer.json["allowed"] == ["pay", "reverse-payment", "credit"]


@pytest.mark.parametrize(
    "fields", [{"lines": []}, {"freight": euros("1.00")}, {"discount_percent": 5}, {"customer": None}]
)
async def test_what_an_invoice_bills_follows_from_its_order(sales: Sales, fields: Json) -> None:
    invoice = await derived(sales, "orders", await submitted(sales), "invoice")
    answer = await sales.try_patch("invoices", invoice, **fields)
    assert (answer.status, answer.problem) == (422, "fixed-by-origin")
    changed = await sales.patch("invoices", invoice, payment_terms="net_60", description="Thank you")
    assert changed["payment_terms"] == "net_60"


async def test_an_invoice_takes_customer_terms_and_campaign_from_its_order(sales: Sales, campaign: str) -> None:
    order = await submitted(sales, payment_terms="net_45", campaign_id=campaign, bill_to={"city": "Bonn"})
    invoice = await derived(sales, "orders", order, "invoice")
    for field in ("customer", "payment_terms", "campaign_id", "bill_to", "name", "total"):
        assert invoice[field] == order[field], field


async def test_an_invoice_is_overdue_once_when_its_due_date_has_passed(sales: Sales) -> None:
    owed = await issued(sales, payment_terms="net_10")
    partly = await pay(sales, await issued(sales, payment_terms="net_10"), "40.00")
    later = await issued(sales, payment_terms="net_30")
    paid = await pay(sales, await issued(sales, payment_terms="net_10"), "100.00")
    await drafted(sales, due_date=owed["due_date"])
    # The tenth day is the last day to pay.
    assert [await days_pass(sales, days) for days in (10, 11, 12)] == [0, 2, 0]
    told = {event["subject"]: event["data"] for event in await sales.events() if ".overdue." in event["type"]}
    assert {subject: data["balance"] for subject, data in told.items()} == {
        owed["id"]: euros("100.00"),
        partly["id"]: euros("60.00"),
    }
    now = await sales.get("invoices", owed["id"])
    assert (state(now), now["overdue_at"], now["version"]) == (
        "issued/issued",
        told[owed["id"]]["overdue_at"],
        owed["version"] + 1,
    )
    assert [(await sales.get("invoices", one["id"]))["overdue_at"] for one in (later, paid)] == [None, None]
    overdue = await sales.page("invoices", "overdue_at[is_null]=false&balance.amount[gt]=0&sort=due_date")
    assert {one["id"] for one in overdue} == {owed["id"], partly["id"]}
    assert state(await pay(sales, owed, "100.00")) == "paid/complete"


async def test_overdue_is_a_matter_of_the_organisations_day(sales: Sales, people: People) -> None:
    await people.organization(time_zone="Pacific/Kiritimati")
    invoice = await issued(sales)
    # It is due today on the islands where each day begins first. Where it begins last, that is tomorrow.
    await people.organization(time_zone="Pacific/Pago_Pago")
    assert await days_pass(sales, 1) == 0
    await people.organization(time_zone="Pacific/Kiritimati")
    assert await days_pass(sales, 1) == 1
    assert (await sales.get("invoices", invoice["id"]))["overdue_at"] is not None


async def reversed_payment(sales: Sales, invoice: Json, number: int, reason: str = "Returned by the bank") -> Json:
    """Reverse a payment."""
    return await sales.act("invoices", invoice, f"payments/{number}/reverse", reason=reason)


async def test_a_reversed_payment_stays_and_is_owed_again(sales: Sales) -> None:
    invoice = await issued(sales)
    await pay(sales, invoice, "40.00")
    await pay(sales, invoice, "60.00")
    now = await reversed_payment(sales, invoice, 1)
    assert (state(now), now["paid_total"], now["balance"]) == ("paid/partial", euros("60.00"), euros("40.00"))
    first, second = now["payments"]
    assert (first["amount"], first["reversal_reason"]) == (euros("40.00"), "Returned by the bank")
    assert first["reversed_at"] is not None
    assert second["reversed_at"] is None
    told = (await sales.events())[-1]
    assert told["type"] == "crm.sales.invoice.payment_reversed.v1"
    assert (told["data"]["payment_id"], told["data"]["amount_base"]) == (first["id"], euros("40.00"))
    answer = await sales.try_act("invoices", invoice, "payments/1/reverse", reason="Twice")
    assert (answer.status, answer.problem) == (409, "already-reversed")
    assert (await sales.try_act("invoices", invoice, "payments/3/reverse", reason="None")).status == 404
    answer = await sales.try_act("invoices", invoice, "payments/2/reverse", reason=" ")
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/reason")
    owed = await reversed_payment(sales, invoice, 2)
    assert (state(owed), owed["balance"]) == ("issued/issued", euros("100.00"))
    assert owed["allowed_actions"] == ["pay", "credit", "cancel", "assign"]
    assert state(await pay(sales, invoice, "100.00")) == "paid/complete"


async def test_an_invoice_whose_payment_was_reversed_falls_overdue(sales: Sales) -> None:
    invoice = await issued(sales)
    await pay(sales, invoice, "100.00")
    assert await days_pass(sales, 1) == 0
    await reversed_payment(sales, invoice, 1)
    assert await days_pass(sales, 1) == 1


async def test_the_timer_never_reads_the_whole_table(sales: Sales, runtime: Runtime) -> None:
    await issued(sales)
    plan = await plan_of(runtime, due_and_unpaid, Invoice)
    assert "ix_invoice_owed" in plan, plan


async def test_amounts_are_in_base_currency_at_the_rate_of_the_draft(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="JPY", rate="0.006", valid_from="2020-01-01")
    yen = {"name": "Chair", "quantity": "3", "unit_price": {"amount": "3333", "currency": "JPY"}}
    order = await sales.act("orders", await ordered(sales, yen), "submit")
    invoice = await derived(sales, "orders", order, "invoice")
    assert (invoice["total"], invoice["total_base"]) == ({"amount": "9999", "currency": "JPY"}, euros("59.99"))
    await sales.act("invoices", invoice, "issue")
    paid = await sales.act("invoices", invoice, "pay", amount=invoice["total"], method="card")
    assert (paid["paid_total_base"], paid["balance_base"]) == (euros("59.99"), euros("0.00"))
    assert (await sales.events())[-1]["data"]["amount_base"] == euros("59.99")


@pytest.mark.parametrize("sort", ["number", "-due_date", "balance.amount", "-total_base.amount", "issue_date"])
async def test_invoices_are_listed_in_every_order_they_are_indexed_by(sales: Sales, sort: str) -> None:
    made = {(await issued(sales))["id"], (await drafted(sales))["id"]}
    assert {one["id"] for one in await sales.page("invoices", f"sort={sort}")} == made


async def test_invoices_are_found_by_number_and_name(sales: Sales) -> None:
    invoice = await issued(sales)
    found = await sales.page("invoices", f"q={invoice['number'].lower()}")
    assert [one["id"] for one in found] == [invoice["id"]]
