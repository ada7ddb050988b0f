"""What the lines of a quote, order or invoice cost, and what the document costs with them."""

from collections.abc import Sequence, Set

from crm_kit.work.uow import UnitOfWork
from crm_sales.document.model import SalesDocument
from crm_sales.document.schemas import DocumentFields
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.pricing.lines import as_inputs, currency_of, price_lines, price_list_of, require_currency_of
from crm_sales.pricing.schemas import LineInput

HEADER = frozenset({"discount_percent", "discount_amount", "freight"})
"""Fields beside the lines that decide what a document costs."""


async def price_new(uow: UnitOfWork, document: SalesDocument, body: DocumentFields, currency: str | None) -> None:
    """Price a new document. It is in the currency that is named, else its price list's, else that of the first amount in the
    body, else the base currency; for good."""
    price_list = await price_list_of(uow, body.price_list_id)
    otherwise = price_list.currency if price_list else currency_of(body.lines, body.discount_amount, body.freight)
    document.currency = currency or otherwise or uow.runtime.directory.organization.base_currency
    require_currency_of(price_list, document.currency, "/currency")
    lines = await price_lines(uow, body.lines, price_list_id=document.price_list_id, currency=document.currency)
    document.keep_lines(lines)
    await pin(uow, document)


async def price_changes(uow: UnitOfWork, document: SalesDocument, body: DocumentFields, changed: Set[str]) -> None:
    """Price a document of which these fields have been given other values: at today's prices when lines or price list are
    among them, else the lines as they are."""
    if changed & {"lines", "price_list_id"}:
        await price_today(uow, document, body.lines if "lines" in changed else None)
    elif changed & HEADER:
        document.keep_lines(document.priced_lines)
        await pin(uow, document)


async def price_today(uow: UnitOfWork, document: SalesDocument, wanted: Sequence[LineInput] | None = None) -> None:
    """Price these lines, or those that the document has, at today's prices; what a person gave stays."""
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
    """Say every amount in base currency, too."""
    await pin_amounts(uow, document, document.money_fields, currency_at="/currency")
