"""The HTTP face of quotes."""

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
from crm_sales.order.from_quote import order_quote as order
from crm_sales.order.schemas import OrderOfQuote, OrderRead
from crm_sales.quote import commands
from crm_sales.quote.drafting import revise_quote as revise
from crm_sales.quote.model import Quote
from crm_sales.quote.schemas import QuoteCreate, QuoteRead, QuoteUpdate

router = APIRouter(prefix="/quotes", tags=["quotes"], route_class=about(Quote))

QUOTES = Listing(
    Quote,
    sortable=(
        "created_at",
        "modified_at",
        "name",
        "number",
        "revision",
        "total.amount",
        "total_base.amount",
        "effective_to",
        "closed_at",
    ),
    search="search_text",
    parties=PARTIES,
    virtual=CUSTOMER_NAME,
)


@router.get("", response_model=Page[QuoteRead], operation_id="list_quotes")
@lists(QUOTES)
async def list_quotes(request: Request, uow: Uow) -> Response:
    """Quotes: filter on any field, search name and number with `q`, sort by created_at, modified_at, name, number, revision,
    total.amount, total_base.amount, effective_to or closed_at, page.

    All revisions of one offer: `?number=QUO-00042&sort=revision`.
    """
    return await list_records(uow, QUOTES, request)


@router.post("/query", response_model=Page[QuoteRead], operation_id="query_quotes")
async def query_quotes(query: Query, uow: Uow) -> Response:
    """Quotes by a JSON filter with and, or, not."""
    return await query_records(uow, QUOTES, query)


@router.post("", response_model=QuoteRead, status_code=201, operation_id="create_quote")
async def create_quote(body: QuoteCreate, uow: Uow) -> Response:
    """A new quote, as a draft: revision 1 of a number of its own. Its name, customer and campaign are the deal's, and its
    addresses the customer's, unless given.

    422 with a pointer: `name-required` without a name and a deal; `unknown-reference`, `inactive-reference` for what it
    refers to, a closed deal among them; `price-list-not-valid`; `end-before-start`; `no-exchange-rate`; of lines also
    `price-required` when neither you nor the price list say what a product costs, `name-required` for something written in,
    `tax-required`, `too-many-decimals`, `currency-mismatch`, `discount-too-large` and `too-large`.
    """
    return await created(uow, await commands.create_quote(uow, body))


@router.get("/{quote_id}", response_model=QuoteRead, operation_id="get_quote")
async def get_quote(quote_id: UUID, request: Request, uow: Uow) -> Response:
    """One quote, with its version as ETag."""
    return await read(uow, Quote, quote_id, request)


@router.patch("/{quote_id}", response_model=QuoteRead, operation_id="update_quote")
async def update_quote(quote_id: UUID, body: QuoteUpdate, uow: Uow) -> Response:
    """Change fields of a draft (RFC 7396 merge patch). The rules are those of a new quote.

    `lines` is the whole list: a line with the `id` it was read with stays the same line, one without is new, one left out is
    removed (422 `unknown-reference` for an id the quote does not have, `duplicate-line` for one sent twice). Lines may be
    sent back as they were read. They get today's prices, as they do with another price list; any other change leaves
    prices as they are.
    """
    return await one(uow, await commands.update_quote(uow, quote_id, body))


@router.delete("/{quote_id}", status_code=204, operation_id="delete_quote")
async def delete_quote(quote_id: UUID, uow: Uow) -> Response:
    """Delete a draft; 409 `not-deletable` for what was offered, and for a later revision, which is canceled instead."""
    await commands.delete_quote(uow, quote_id)
    return gone()


@router.get("/{quote_id}/history", response_model=HistoryPage, operation_id="list_quote_history")
@shows_history
async def list_quote_history(quote_id: UUID, request: Request, uow: Uow) -> Response:
    """Who changed what, when, from what to what; newest first. Revisions have a history each."""
    return await history(uow, Quote, quote_id, request)


@router.post("/{quote_id}/reprice", response_model=QuoteRead, operation_id="reprice_quote")
async def reprice_quote(quote_id: UUID, uow: Uow) -> Response:
    """Give the lines of a draft the prices and taxes of today; those that a person gave stay. Without a difference it changes
    nothing. 422 `price-list-not-valid` for a price list that is not in force, `price-required` for a product it lost."""
    return await one(uow, await commands.reprice_quote(uow, quote_id))


@router.post("/{quote_id}/activate", response_model=QuoteRead, operation_id="activate_quote")
async def activate_quote(quote_id: UUID, uow: Uow) -> Response:
    """Offer it: draft → active. What is in it is fixed from now on, whatever price lists say later; it expires after its last
    day.

    422 `lines-required` without lines, `already-expired` when its last day is past, `customer-required` without a customer,
    unless winning its deal will make one (`customer_creation: on_win`, and the deal came from a lead).
    """
    return await one(uow, await commands.activate_quote(uow, quote_id))


@router.post("/{quote_id}/revise", response_model=QuoteRead, status_code=201, operation_id="revise_quote")
async def revise_quote(quote_id: UUID, uow: Uow) -> Response:
    """Close an active, lost, canceled or expired quote as revised, and draft the next revision under the same number
    (Dataverse: ReviseQuote). The answer is the draft; its lines keep their ids and prices."""
    return await created(uow, await revise(uow, quote_id))


@router.post("/{quote_id}/win", response_model=QuoteRead, operation_id="win_quote")
async def win_quote(quote_id: UUID, uow: Uow) -> Response:
    """The customer accepted an active quote (Dataverse: WinQuote)."""
    return await one(uow, await commands.win_quote(uow, quote_id))


@router.post("/{quote_id}/order", response_model=OrderRead, status_code=201, operation_id="order_quote")
async def order_quote(quote_id: UUID, uow: Uow, body: Annotated[OrderOfQuote | None, Body()] = None) -> Response:
    """Make an order of an active or won quote, over what was offered at the prices offered, which are locked (Dataverse:
    ConvertQuoteToSalesOrder); an active quote is won by it. Needs `create` on orders, too. 201 with the order.

    409 `already-ordered` the second time: a quote becomes an order once; 422 `inactive-reference` while its deal is lost.
    """
    return await created(uow, await order(uow, quote_id, body or OrderOfQuote()))


@router.post("/{quote_id}/lose", response_model=QuoteRead, operation_id="lose_quote")
async def lose_quote(quote_id: UUID, uow: Uow) -> Response:
    """The customer turned an active quote down (Dataverse: CloseQuote)."""
    return await one(uow, await commands.lose_quote(uow, quote_id))


@router.post("/{quote_id}/cancel", response_model=QuoteRead, operation_id="cancel_quote")
async def cancel_quote(quote_id: UUID, uow: Uow) -> Response:
    """Withdraw a drafted or active quote."""
    return await one(uow, await commands.cancel_quote(uow, quote_id))


@router.post("/{quote_id}/assign", response_model=QuoteRead, operation_id="assign_quote")
async def assign_quote(quote_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the quote to another user or team; 422 for an unknown or inactive one. Other revisions stay where they are."""
    return await one(uow, await commands.assign_quote(uow, quote_id, body))
