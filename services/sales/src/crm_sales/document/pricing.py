"""Prices of the lines of a quote, order or invoice, and the totals of the document."""

from collections.abc import Sequence, Set

from crm_kit.work.uow import UnitOfWork
from crm_sales.document.model import SalesDocument
from crm_sales.document.schemas import DocumentFields
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.pricing.lines import as_inputs, currency_of, price_lines, price_list_of, require_currency_of
from crm_sales.pricing.schemas import LineInput
from crm_sales.settings.queries import tax_rules

HEADER = frozenset({"discount_percent", "discount_amount", "freight"})
"""Fields other than the lines that affect the price of the document."""


async def price_new(uow: UnitOfWork, document: SalesDocument, body: DocumentFields, currency: str | None) -> None:
    """Price a new document. It keeps the organisation's present rules of taxation.

    Its currency is the one that is named, else that of its price list, else that of the first amount in the body, else
    the base currency. The currency never changes afterwards.
    """
    price_list = await price_list_of(uow, body.price_list_id)
    otherwise = price_list.currency if price_list else currency_of(body.lines, body.discount_amount, body.freight)
    document.currency = currency or otherwise or uow.runtime.directory.organization.base_currency
    require_currency_of(price_list, document.currency, "/currency")
    lines = await price_lines(uow, body.lines, price_list_id=document.price_list_id, currency=document.currency)
    document.tax_by(await tax_rules(uow))
    document.keep_lines(lines)
    await pin(uow, document)


async def price_changes(uow: UnitOfWork, document: SalesDocument, body: DocumentFields, changed: Set[str]) -> None:
    """Price a document after changes to these fields.

    Today's prices apply if lines or price list changed. Otherwise the lines keep their prices.
    """
    if changed & {"lines", "price_list_id"}:
        await price_today(uow, document, body.lines if "lines" in changed else None)
    elif changed & HEADER:
        document.keep_lines(document.priced_lines)
        await pin(uow, document)


async def price_today(uow: UnitOfWork, document: SalesDocument, wanted: Sequence[LineInput] | None = None) -> None:
    """Price these lines, or the document's own, at today's prices. Prices that a person set stay."""
    price_list = await price_list_of(uow, document.price_list_id)
    require_currency_of(price_list, document.currency, "/price_list_id")
    before = document.priced_lines
    lines = await price_lines(
        uow,
        as_inputs(before) if wanted is None else wanted,
        price_list_id=document.price_list_id,
        currency=document.currency,
        kept=before,
    )
    document.keep_lines(lines)
    await pin(uow, document)


async def pin(uow: UnitOfWork, document: SalesDocument) -> None:
    """Set the amounts in base currency. They add up as they do in the document's currency."""
    kept = document.kept_in_base()
    await pin_amounts(uow, document, document.money_fields, currency_at="/currency")
    for field, amount in kept.items():
        setattr(document, field, amount)
    document.add_up_in_base()
