"""The HTTP face of orders."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_sales.customer_link.finding import CUSTOMER_NAME, PARTIES
from crm_sales.invoice.from_order import invoice_order as bill
from crm_sales.invoice.schemas import InvoiceRead
from crm_sales.order import commands
from crm_sales.order.fulfill import fulfill_order as deliver
from crm_sales.order.model import Order
from crm_sales.order.schemas import LineQuantities, OrderCreate, OrderRead, OrderSubmission, OrderUpdate

router = APIRouter(prefix="/orders", tags=["orders"], route_class=about(Order))

ORDERS = Listing(
    Order,
    sortable=(
        "created_at",
        "modified_at",
        "name",
        "number",
        "total.amount",
        "total_base.amount",
        "requested_delivery",
        "submitted_at",
    ),
    search="search_text",
    parties=PARTIES,
    virtual=CUSTOMER_NAME,
)

Quantities = Annotated[LineQuantities | None, Body()]


@router.get("", response_model=Page[OrderRead], operation_id="list_orders")
@lists(ORDERS)
async def list_orders(request: Request, uow: Uow) -> Response:
    """Orders you may read: filter on any field, search name and number with `q`, sort by created_at, modified_at, name,
    number, total.amount, total_base.amount, requested_delivery or submitted_at, page."""
    return await list_records(uow, ORDERS, request)


@router.post("/query", response_model=Page[OrderRead], operation_id="query_orders")
async def query_orders(query: Query, uow: Uow) -> Response:
    """Orders by a JSON filter with and, or, not."""
    return await query_records(uow, ORDERS, query)


@router.post("", response_model=OrderRead, status_code=201, operation_id="create_order")
async def create_order(body: OrderCreate, uow: Uow) -> Response:
    """A new order by hand, owned by you; `POST /quotes/{id}/order` makes one of a quote. Its customer and campaign are the
    deal's, and its addresses the customer's, unless given. The rules of its lines are those of a new quote."""
    return await created(uow, await commands.create_order(uow, body))


@router.get("/{order_id}", response_model=OrderRead, operation_id="get_order")
async def get_order(order_id: UUID, request: Request, uow: Uow) -> Response:
    """One order, with its version as ETag."""
    return await read(uow, Order, order_id, request)


@router.patch("/{order_id}", response_model=OrderRead, operation_id="update_order")
async def update_order(order_id: UUID, body: OrderUpdate, uow: Uow) -> Response:
    """Change fields of an active order (RFC 7396 merge patch).

    `lines` is the whole list, as for quotes. They get today's prices, unless the order's prices are locked: then a line that
    stays keeps its price and tax, and only a new one costs what it costs today.
    """
    return await one(uow, await commands.update_order(uow, order_id, body))


@router.delete("/{order_id}", status_code=204, operation_id="delete_order")
async def delete_order(order_id: UUID, uow: Uow) -> Response:
    """Delete an active order; 409 `not-deletable` once it was submitted, `in-use` when it was made of a quote: cancel it."""
    await commands.delete_order(uow, order_id)
    return gone()


@router.get("/{order_id}/history", response_model=HistoryPage, operation_id="list_order_history")
@shows_history
async def list_order_history(order_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Order, order_id, request)


@router.post("/{order_id}/hold", response_model=OrderRead, operation_id="hold_order")
async def hold_order(order_id: UUID, uow: Uow) -> Response:
    """Put the order aside before it is submitted: new → pending."""
    return await one(uow, await commands.hold_order(uow, order_id))


@router.post("/{order_id}/resume", response_model=OrderRead, operation_id="resume_order")
async def resume_order(order_id: UUID, uow: Uow) -> Response:
    """Take the order up again: pending → new."""
    return await one(uow, await commands.resume_order(uow, order_id))


@router.post("/{order_id}/lock-prices", response_model=OrderRead, operation_id="lock_prices_order")
async def lock_prices_order(order_id: UUID, uow: Uow) -> Response:
    """Keep what the lines of an active order cost, whatever the price list says (Dataverse: LockSalesOrderPricing)."""
    return await one(uow, await commands.lock_prices_of_order(uow, order_id, locked=True))


@router.post("/{order_id}/unlock-prices", response_model=OrderRead, operation_id="unlock_prices_order")
async def unlock_prices_order(order_id: UUID, uow: Uow) -> Response:
    """Let the price list decide again, from the next change of the lines on (Dataverse: UnlockSalesOrderPricing)."""
    return await one(uow, await commands.lock_prices_of_order(uow, order_id, locked=False))


@router.post("/{order_id}/reprice", response_model=OrderRead, operation_id="reprice_order")
async def reprice_order(order_id: UUID, uow: Uow) -> Response:
    """Give the lines of an active order whose prices are not locked the prices and taxes of today; those that a person gave
    stay. Without a difference it changes nothing. 422 as for quotes."""
    return await one(uow, await commands.reprice_order(uow, order_id))


@router.post("/{order_id}/submit", response_model=OrderRead, operation_id="submit_order")
async def submit_order(order_id: UUID, uow: Uow, body: Annotated[OrderSubmission | None, Body()] = None) -> Response:
    """The order stands: active → submitted. From now on it is delivered and billed, and no longer edited.

    422 `lines-required` without lines, `inactive-reference` for an inactive customer. 409 `credit-hold` for an account on
    credit hold, and `credit-limit` if the order and what is open would exceed the account's `credit_limit`: what is invoiced
    and not paid, and what is ordered and not billed. `limit` and `open` of the problem are for callers who may read the
    account. `force: true` goes on, for callers who hold the right `credit_override` for the account: 403 for others.
    """
    return await one(uow, await commands.submit_order(uow, order_id, body or OrderSubmission()))


@router.post("/{order_id}/fulfill", response_model=OrderRead, operation_id="fulfill_order")
async def fulfill_order(order_id: UUID, uow: Uow, body: Quantities = None) -> Response:
    """So much was delivered (Dataverse: FulfillSalesOrder); all that is left unless `lines` say how much. The status follows:
    fulfilled, *partial* or *complete*; an invoiced order stays invoiced.

    422 with the pointer of the line: `quantity-exceeded` for more than is left, `too-many-decimals` for a part of a unit
    that is sold in whole ones, `unknown-line`, `duplicate-line`.
    """
    return await one(uow, await deliver(uow, order_id, body or LineQuantities()))


@router.post("/{order_id}/invoice", response_model=InvoiceRead, status_code=201, operation_id="invoice_order")
async def invoice_order(order_id: UUID, uow: Uow, body: Quantities = None) -> Response:
    """Draft an invoice (Dataverse: ConvertSalesOrderToInvoice) over all that is left to bill, or over so much of some `lines`;
    needs `create` on invoices, too. When all of the order is on invoices, it is *invoiced*. 201 with the invoice.

    Discount and freight are billed in proportion to what the lines cost; all invoices of an order add up to it exactly.
    422 with the pointer of the line: `quantity-exceeded` for more than is left, `too-many-decimals` for a part of a unit
    that is sold in whole ones, `unknown-line`, `duplicate-line`.
    """
    return await created(uow, await bill(uow, order_id, body or LineQuantities()))


@router.post("/{order_id}/cancel", response_model=OrderRead, operation_id="cancel_order")
async def cancel_order(order_id: UUID, uow: Uow) -> Response:
    """Call the order off (Dataverse: CancelSalesOrder); 409 while anything of it is on an invoice that is not canceled."""
    return await one(uow, await commands.cancel_order(uow, order_id))


@router.post("/{order_id}/assign", response_model=OrderRead, operation_id="assign_order")
async def assign_order(order_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the order to another user or team; 422 for an unknown or inactive one. Its invoices stay where they are."""
    return await one(uow, await commands.assign_order(uow, order_id, body))
