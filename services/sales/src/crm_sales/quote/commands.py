"""Commands on quotes. Drafting a quote from a deal and revising one are in ``drafting.py``."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.quote import (
    QuoteActivated,
    QuoteAssigned,
    QuoteCanceled,
    QuoteCreated,
    QuoteDeleted,
    QuoteExpired,
    QuoteLost,
    QuoteUpdated,
    QuoteWon,
)
from crm_contracts.sentences import Named, said, status_word
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.records.patch import plain
from crm_kit.records.patching import Assignment, assign, require_status
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.customer import require_active_customer, require_customer
from crm_sales.document.editing import edit
from crm_sales.document.payment import settle_terms
from crm_sales.document.pricing import price_changes, price_new, price_today
from crm_sales.document.references import deal_of, new_deal_of, require_deal_not_lost, require_open, take_over
from crm_sales.opportunity.model import Opportunity
from crm_sales.quote.domain import require_days_left, require_something_to_sell
from crm_sales.quote.model import Quote
from crm_sales.quote.schemas import QuoteCreate, QuoteUpdate
from crm_sales.validity import require_period

_BY_RULE = ("lines", "customer", "currency", "opportunity_id")
"""Fields of a body that are converted to columns separately."""


async def create_quote(uow: UnitOfWork, body: QuoteCreate) -> Quote:
    """Create a quote as revision 1 of a new number. The caller owns it."""
    await uow.start(Quote)
    deal = None if body.opportunity_id is None else await deal_of(uow, body.opportunity_id)
    if deal is not None:
        require_open(deal)
    require_period(body.effective_from, body.effective_to, "/effective_to")
    values = {name: plain(value) for name, value in body if name not in _BY_RULE}
    settle_terms(values)
    quote = Quote(revision=1, opportunity_id=body.opportunity_id, **values)
    quote.name = _name(body, deal)
    await take_over(uow, quote, deal, body.customer, body.model_fields_set)
    await price_new(uow, quote, body, body.currency)
    quote.number = await uow.number(Quote.numbered)
    return uow.add(quote, QuoteCreated)


async def update_quote(uow: UnitOfWork, quote_id: UUID, body: QuoteUpdate) -> Quote:
    """Change fields of a draft. A patch that changes no value does nothing. Lines in the patch are priced again."""
    uow.principal.require(Quote.entity(), Privilege.WRITE)
    # A deal is locked before its quotes, although only the loaded quote shows whether the deal is new to it.
    deal = await new_deal_of(uow, body)
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    require_status(quote, "draft")
    changed = await edit(uow, quote, body, deal, require_open)
    require_period(quote.effective_from, quote.effective_to, "/effective_to")
    await price_changes(uow, quote, body, changed)
    return uow.emit_if_changed(quote, QuoteUpdated)


async def reprice_quote(uow: UnitOfWork, quote_id: UUID) -> Quote:
    """Apply today's prices to the lines of a draft. Prices that a person set stay."""
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    quote.move("reprice")
    await price_today(uow, quote)
    return uow.emit_if_changed(quote, QuoteUpdated)


async def activate_quote(uow: UnitOfWork, quote_id: UUID) -> Quote:
    """Activate the quote. It cannot be changed afterwards, and it expires after its last day."""
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    quote.move("activate")
    require_something_to_sell(len(quote.lines))
    require_days_left(quote.effective_to, today(uow))
    await require_customer(uow, quote, "Set the customer before you activate the quote.")
    await require_active_customer(uow, quote)
    await require_deal_not_lost(uow, quote)
    return uow.emit(quote, QuoteActivated, total=quote.total, total_base=quote.total_base)


async def win_quote(uow: UnitOfWork, quote_id: UUID) -> Quote:
    """Close the quote as won (Dataverse: WinQuote)."""
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    accept(uow, quote)
    return quote


def accept(uow: UnitOfWork, quote: Quote, order_id: UUID | None = None) -> None:
    """Win a locked, active quote. ``order_id`` is the order made of it in the same unit of work."""
    quote.close("win", uow.now)
    quote.order_id = order_id
    uow.emit(quote, QuoteWon, total=quote.total, total_base=quote.total_base, won_at=uow.now)


async def lose_quote(uow: UnitOfWork, quote_id: UUID) -> Quote:
    """Close the quote as lost (Dataverse: CloseQuote)."""
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    quote.close("lose", uow.now)
    return uow.emit(quote, QuoteLost, lost_at=uow.now)


async def cancel_quote(uow: UnitOfWork, quote_id: UUID) -> Quote:
    """Cancel a draft or an active quote."""
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    quote.close("cancel", uow.now)
    return uow.emit(quote, QuoteCanceled, canceled_at=uow.now)


async def expire_quote(uow: UnitOfWork, quote_id: UUID) -> None:
    """Expire the quote after its last day."""
    quote = await uow.load(Quote, quote_id)
    quote.expire(uow.now)
    uow.emit(quote, QuoteExpired, expired_at=uow.now)


async def assign_quote(uow: UnitOfWork, quote_id: UUID, body: Assignment) -> Quote:
    """Assign the quote to another owner."""
    quote = await uow.get(Quote, quote_id, Privilege.ASSIGN)
    await assign(uow, quote, body, QuoteAssigned)
    return quote


async def delete_quote(uow: UnitOfWork, quote_id: UUID) -> None:
    """Delete a draft that is the first revision of its number."""
    quote = await uow.get(Quote, quote_id, Privilege.DELETE)
    if quote.status != "draft":
        state = status_word("quote", quote.status)
        if quote.status == "closed":
            state = Named(quote.status_reason, "option", "quote", "status_reason", quote.status_reason)
        raise DomainError("not-deletable", said("This quote is {status}. Only a draft can be deleted.", status=state))
    if quote.revision > 1:
        # Without the draft, the earlier revisions could never be revised again.
        raise DomainError("not-deletable", "A revision cannot be deleted. Cancel it instead.")
    uow.remove(quote, QuoteDeleted)


def _name(body: QuoteCreate, deal: Opportunity | None) -> str:
    if body.name is not None:
        return body.name
    if deal is None:
        raise InvalidValue("/name", "name-required", "Send a name or an opportunity_id.")
    return deal.name
