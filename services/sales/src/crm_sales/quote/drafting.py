"""Draft a quote from the lines of a deal or from an earlier revision."""

from typing import Any
from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.quote import QuoteCreated, QuoteRevised
from crm_kit.errors import DomainError
from crm_kit.records.patching import require_status
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.customer import require_active_customer
from crm_sales.document.pricing import pin
from crm_sales.document.references import hold_deal, take_over
from crm_sales.opportunity.model import Opportunity
from crm_sales.quote.model import Quote
from crm_sales.settings.queries import tax_rules

_TAKEN = (
    "name",
    "opportunity_id",
    "customer_type",
    "customer_id",
    "campaign_id",
    "price_list_id",
    "currency",
    "effective_from",
    "effective_to",
    "bill_to",
    "ship_to",
    "payment_terms",
    "payment_conditions",
    "tax_rounding",
    "header_discount",
    "discount_percent",
    "discount_amount",
    "freight",
    "description",
)
"""Fields that the next revision copies."""


async def quote_deal(uow: UnitOfWork, opportunity_id: UUID) -> Quote:
    """Draft a quote with the lines and prices of an open deal (Dataverse: GenerateQuoteFromOpportunity).

    The caller needs to read the deal and to create quotes. The deal is locked although it is only read (see
    ``document.references``).
    """
    deal = await uow.get(Opportunity, opportunity_id, Privilege.READ)
    await uow.start(Quote)
    require_status(deal, "open")
    quote = Quote(
        revision=1,
        name=deal.name,
        opportunity_id=deal.id,
        price_list_id=deal.price_list_id,
        currency=deal.currency or uow.runtime.directory.organization.base_currency,
    )
    await take_over(uow, quote, deal, None, given=())
    quote.tax_by(await tax_rules(uow))
    quote.keep_lines(deal.priced_lines)
    await pin(uow, quote)
    quote.number = await uow.number(Quote.numbered)
    return uow.add(quote, QuoteCreated)


async def revise_quote(uow: UnitOfWork, quote_id: UUID) -> Quote:
    """Close a quote as revised and draft its next revision for the same owner (Dataverse: ReviseQuote).

    The deal is locked before the quote, as in losing the deal, so that the loss closes every draft.
    """
    uow.principal.require(Quote.entity(), Privilege.WRITE)
    deal = await hold_deal(uow, Quote, quote_id)
    quote = await uow.get(Quote, quote_id, Privilege.WRITE)
    uow.principal.require(Quote.entity(), Privilege.CREATE)
    quote.require("revise")
    await require_active_customer(uow, quote)
    if deal is not None and deal.status == "lost":
        raise DomainError("inactive-reference", "The deal is lost. Reopen it first.")
    quote.close("revise", uow.now)
    following = Quote(id=new_id(), number=quote.number, revision=quote.revision + 1, **_taken(quote))
    following.keep_lines(quote.priced_lines)
    await pin(uow, following)
    uow.emit(quote, QuoteRevised, next_quote_id=following.id, next_revision=following.revision)
    # Write the closed revision first: in the other order two live revisions would violate the unique index on the
    # number.
    await uow.flush()
    return uow.add(following, QuoteCreated)


def _taken(quote: Quote) -> dict[str, Any]:
    owner = {name: getattr(quote, name) for name in ("owner_type", "owner_id", "business_unit_id")}
    return owner | {name: getattr(quote, name) for name in _TAKEN}
