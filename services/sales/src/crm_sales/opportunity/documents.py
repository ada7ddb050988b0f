"""What a deal does to its documents: it gives them its customer, and its quotes close and reopen with it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select

from crm_contracts.catalogue import Event
from crm_contracts.sales.invoice import InvoiceUpdated
from crm_contracts.sales.opportunity import ClosedQuote
from crm_contracts.sales.order import OrderUpdated
from crm_contracts.sales.quote import QuoteCanceled, QuoteLost, QuoteReopened, QuoteUpdated
from crm_kit.store.record import stored_columns
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.document.customer import require_active_customer
from crm_sales.document.model import SalesDocument
from crm_sales.invoice.model import Invoice
from crm_sales.opportunity.model import Opportunity
from crm_sales.order.model import Order
from crm_sales.quote.model import Quote

# The order in which they are locked everywhere. A document made concurrently of another one is found after it.
DOCUMENTS: tuple[tuple[type[SalesDocument], type[Event]], ...] = (
    (Quote, QuoteUpdated),
    (Order, OrderUpdated),
    (Invoice, InvoiceUpdated),
)


async def give_customer(uow: UnitOfWork, deal: Opportunity, *, of: UUID | None = None) -> None:
    """Set the deal's customer on each of its documents without customer, whatever its status.

    ``of`` is a deal that is merged into it: its documents without customer move to the deal as well. Both must be locked.
    """
    for entity, updated in DOCUMENTS:
        table = entity.__table__
        orphans = (
            select(*(table.c[column] for column in stored_columns(entity)))
            .where(table.c.opportunity_id == (of or deal.id), table.c.customer_id.is_(None))
            .order_by(table.c.id)
            .with_for_update(key_share=True)
        )
        for row in (await uow.execute(orphans)).mappings().all():
            document = uow.adopt(entity.from_row(dict(row)))
            document.customer_type, document.customer_id = deal.customer_type, deal.customer_id
            document.opportunity_id = deal.id
            uow.emit(document, updated)


async def close_quotes(uow: UnitOfWork, deal: Opportunity) -> list[ClosedQuote]:
    """Close the open quotes of a deal that is lost: drafts are canceled, active ones lost. Return which.

    The deal must be locked, so that no quote is made of it meanwhile.
    """
    closed = []
    for quote in await _quotes(uow, Quote.opportunity_id == deal.id, Quote.status.in_(("draft", "active"))):
        closed.append(ClosedQuote(id=quote.id, number=quote.number, status=quote.status, reopened=False))
        if quote.status == "active":
            quote.close("lose", uow.now)
            uow.emit(quote, QuoteLost, lost_at=uow.now)
        else:
            quote.close("cancel", uow.now)
            uow.emit(quote, QuoteCanceled, canceled_at=uow.now)
    return closed


async def reopen_quotes(uow: UnitOfWork, closed: Sequence[ClosedQuote]) -> list[ClosedQuote]:
    """Take up the quotes again that were closed with their deal. Return them with what became of each.

    A quote that was revised since or whose last day has passed stays closed. 422 ``inactive-reference`` if the customer of
    another one is inactive.
    """
    before = {one.id: one for one in closed if not one.reopened}
    customers: dict[UUID, Account | Contact | None] = {}
    for quote in await _quotes(uow, Quote.id.in_(before), Quote.status_reason.in_(("lost", "canceled"))):
        was = before[quote.id]
        if quote.effective_to is not None and quote.effective_to < today(uow):
            continue
        if quote.customer_id is not None:
            customers[quote.customer_id] = await require_active_customer(uow, quote, customers.get(quote.customer_id))
        quote.reopen(was.status)
        uow.emit(quote, QuoteReopened)
        before[quote.id] = was.model_copy(update={"reopened": True})
    return [before.get(one.id, one) for one in closed]


async def _quotes(uow: UnitOfWork, *which: ColumnElement[bool]) -> list[Quote]:
    """Load and lock quotes, in the order in which they are locked everywhere."""
    table = Quote.__table__
    found = (
        select(*(table.c[column] for column in stored_columns(Quote)))
        .where(*which)
        .order_by(table.c.id)
        .with_for_update(key_share=True)
    )
    rows: Sequence[Any] = (await uow.execute(found)).mappings().all()
    return [uow.adopt(Quote.from_row(dict(row))) for row in rows]
