"""The HTTP face of invoices and credit notes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from crm_contracts.sales.invoice import MAX_PAYMENTS
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_sales.customer_link.finding import CUSTOMER_NAME, PARTIES
from crm_sales.invoice import commands
from crm_sales.invoice.credit import credit_invoice as credit
from crm_sales.invoice.issue import issue_invoice as issue
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.payments import pay_invoice as pay
from crm_sales.invoice.payments import reverse_payment as reverse
from crm_sales.invoice.schemas import Credit, InvoiceCreate, InvoiceRead, InvoiceUpdate, Payment, Reversal

router = APIRouter(prefix="/invoices", tags=["invoices"], route_class=about(Invoice))

INVOICES = Listing(
    Invoice,
    sortable=(
        "created_at",
        "modified_at",
        "name",
        "number",
        "issue_date",
        "due_date",
        "total.amount",
        "total_base.amount",
        "balance.amount",
        "balance_base.amount",
    ),
    search="search_text",
    parties=PARTIES,
    virtual=CUSTOMER_NAME,
)


@router.get("", response_model=Page[InvoiceRead], operation_id="list_invoices")
@lists(INVOICES)
async def list_invoices(request: Request, uow: Uow) -> Response:
    """Invoices and credit notes you may read: filter on any field, search name and number with `q`, sort by created_at,
    modified_at, name, number, issue_date, due_date, total.amount, total_base.amount, balance.amount or balance_base.amount,
    page.

    What is overdue: `?overdue_at[is_null]=false&balance.amount[gt]=0&sort=due_date`; the credit notes of an invoice:
    `?credited_invoice_id=…`.
    """
    return await list_records(uow, INVOICES, request)


@router.post("/query", response_model=Page[InvoiceRead], operation_id="query_invoices")
async def query_invoices(query: Query, uow: Uow) -> Response:
    """Invoices and credit notes by a JSON filter with and, or, not."""
    return await query_records(uow, INVOICES, query)


@router.post("", response_model=InvoiceRead, status_code=201, operation_id="create_invoice")
async def create_invoice(body: InvoiceCreate, uow: Uow) -> Response:
    """Draft an invoice by hand, owned by you; `POST /orders/{id}/invoice` drafts one of an order. Its customer and campaign are
    the deal's, and its addresses the customer's, unless given. The rules of its lines are those of a new quote."""
    return await created(uow, await commands.create_invoice(uow, body))


@router.get("/{invoice_id}", response_model=InvoiceRead, operation_id="get_invoice")
async def get_invoice(invoice_id: UUID, request: Request, uow: Uow) -> Response:
    """One invoice or credit note, with its version as ETag."""
    return await read(uow, Invoice, invoice_id, request)


@router.patch("/{invoice_id}", response_model=InvoiceRead, operation_id="update_invoice")
async def update_invoice(invoice_id: UUID, body: InvoiceUpdate, uow: Uow) -> Response:
    """Change fields of a draft (RFC 7396 merge patch). `lines` is the whole list, as for quotes.

    422 `fixed-by-origin` for lines, amounts, customer and deal of a draft that was made of an order or invoice: cancel it and
    make another; `no-due-date` for a due date of a credit note.
    """
    return await one(uow, await commands.update_invoice(uow, invoice_id, body))


@router.delete("/{invoice_id}", status_code=204, operation_id="delete_invoice")
async def delete_invoice(invoice_id: UUID, uow: Uow) -> Response:
    """Delete a draft; its order or invoice can be billed or credited again. 409 `not-deletable` for any other."""
    await commands.delete_invoice(uow, invoice_id)
    return gone()


@router.get("/{invoice_id}/history", response_model=HistoryPage, operation_id="list_invoice_history")
@shows_history
async def list_invoice_history(invoice_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Invoice, invoice_id, request)


@router.post("/{invoice_id}/issue", response_model=InvoiceRead, operation_id="issue_invoice")
async def issue_invoice(invoice_id: UUID, uow: Uow) -> Response:
    """Draft → issued: it gets its number, without gaps, today's date, and a due date by its payment terms unless given.

    A credit note is set off against what is left to pay of its invoice; what remains of it is paid back with `pay`. With
    nothing left to pay, it is paid at once. 422 `lines-required` without lines, `due-before-issue` for a given due date that
    is past.
    """
    return await one(uow, await issue(uow, invoice_id))


@router.post("/{invoice_id}/pay", response_model=InvoiceRead, operation_id="pay_invoice")
async def pay_invoice(invoice_id: UUID, body: Payment, uow: Uow) -> Response:
    """Record what was paid for an invoice, or paid back for a credit note: *partial* or *complete* follows from the sum. Send
    an `Idempotency-Key`: a retry then pays once.

    422 `overpayment` for more than the balance, `nothing-paid`, `currency-mismatch`, `in-the-future`, `too-many-payments`
    past 500.
    """
    return await one(uow, await pay(uow, invoice_id, body))


@router.post(
    "/{invoice_id}/payments/{number}/reverse", response_model=InvoiceRead, operation_id="reverse_payment_invoice"
)
async def reverse_invoice_payment(
    invoice_id: UUID,
    number: Annotated[int, Path(ge=1, le=MAX_PAYMENTS, description="Number of the payment in `payments`, from 1.")],
    body: Reversal,
    uow: Uow,
) -> Response:
    """Reverse a payment that did not arrive or was recorded by mistake; of a credit note, a repayment. The payment stays,
    marked as reversed, and its amount is owed again: the invoice is *issued*, or *partial* where other payments stand.

    404 without such a payment, 409 `already-reversed` the second time.
    """
    return await one(uow, await reverse(uow, invoice_id, number, body))


@router.post("/{invoice_id}/credit", response_model=InvoiceRead, status_code=201, operation_id="credit_invoice")
async def credit_invoice(invoice_id: UUID, body: Credit, uow: Uow) -> Response:
    """Draft a credit note over all of an issued or paid invoice that was not credited yet, or over so much of some `lines`;
    needs `create` on invoices, too. 201 with the credit note, an invoice of `kind` credit_note. When it is issued, the order
    of the invoice can be billed again over what it credits, unless `bill_again` is false.

    422 with the pointer of the line: `quantity-exceeded` for more than is left, `too-many-decimals` for a part of a unit
    that is sold in whole ones, `unknown-line`, `duplicate-line`.
    """
    return await created(uow, await credit(uow, invoice_id, body))


@router.post("/{invoice_id}/cancel", response_model=InvoiceRead, operation_id="cancel_invoice")
async def cancel_invoice(invoice_id: UUID, uow: Uow) -> Response:
    """Make void a draft, or an issued invoice of which nothing was paid or credited; what was on it can be billed again. An
    issued one keeps its number. 409 `illegal-transition` for a credit note whose order was billed again."""
    return await one(uow, await commands.cancel_invoice(uow, invoice_id))


@router.post("/{invoice_id}/assign", response_model=InvoiceRead, operation_id="assign_invoice")
async def assign_invoice(invoice_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the invoice to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_invoice(uow, invoice_id, body))
