"""Prices of an edited order: from the price list, unless the prices are locked."""

from collections.abc import Set
from typing import Any

from crm_contracts.sales.order import OrderLine
from crm_contracts.sales.pricing import PricedLine
from crm_contracts.unit_price import UnitPrice, both
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.pricing import pin, price_changes
from crm_sales.order.model import Order
from crm_sales.order.schemas import OrderUpdate
from crm_sales.pricing.domain import LineTerms, price_line
from crm_sales.pricing.lines import price_lines, price_list_of, require_currency_of
from crm_sales.pricing.schemas import LineInput


async def price_edited(uow: UnitOfWork, order: Order, body: OrderUpdate, changed: Set[str]) -> None:
    """Price an order after changes to these fields.

    Under locked prices an existing line keeps its unit price, volume discount and tax, whatever its new quantity and
    the price list, unless the body gives others. A new line gets today's price.
    """
    if not order.prices_locked:
        await price_changes(uow, order, body, changed)
        return
    if "price_list_id" in changed:
        require_currency_of(await price_list_of(uow, order.price_list_id), order.currency, "/price_list_id")
    if "lines" in changed:
        await _price_beside_locked(uow, order, body)
    else:
        await price_changes(uow, order, body, changed - {"price_list_id"})


async def _price_beside_locked(uow: UnitOfWork, order: Order, body: OrderUpdate) -> None:
    before = {line.id: line for line in order.read_lines()}
    kept = [before.get(line.id) if line.id and line.product_id else None for line in body.lines]
    locked = [
        was if was and was.product_id == line.product_id else None for line, was in zip(body.lines, kept, strict=True)
    ]
    if any(
        line.product_id and not line.given_price and was is None for line, was in zip(body.lines, locked, strict=True)
    ):
        # A new line gets today's price, so the price list has to be valid today.
        await price_list_of(uow, order.price_list_id)
    wanted = [_at_price_of(was, line) if was else line for line, was in zip(body.lines, locked, strict=True)]
    priced = await price_lines(
        uow, wanted, price_list_id=order.price_list_id, currency=order.currency, kept=before.values()
    )
    order.keep_lines(
        [
            _as_it_was(line, asked, was, f"/lines/{position}") if was else line
            for position, (line, asked, was) in enumerate(zip(priced, body.lines, locked, strict=True))
        ]
    )
    await pin(uow, order)


def _at_price_of(was: OrderLine, line: LineInput) -> LineInput:
    """Return the input with the line's current price and tax as if the caller had given them."""
    known: dict[str, Any] = {}
    if not line.given_price:
        price = was.price
        known |= {
            "unit_price": price if isinstance(price, UnitPrice) else UnitPrice.of(price),
            "exact_unit_price": None,
            "price_overridden": True,
        }
    if not line.given_tax:
        known |= {"tax_percent": was.tax_percent, "tax_overridden": True}
    return line.model_copy(update=known)


def _as_it_was(line: PricedLine, asked: LineInput, was: OrderLine, pointer: str) -> PricedLine:
    """Restore the former volume discount, unless the caller gave a price, and the override flags."""
    discount = line.discount if asked.given_price else was.discount
    shown, exact = both(discount)
    terms = LineTerms(line.quantity, line.price, discount, line.manual_discount, line.tax_percent)
    price = price_line(terms, pointer)
    return line.model_copy(
        update={
            "price_overridden": asked.given_price or was.price_overridden,
            "tax_overridden": asked.given_tax or was.tax_overridden,
            "volume_discount": shown,
            "exact_volume_discount": exact,
            "net": price.net,
            "tax": price.tax,
        }
    )
