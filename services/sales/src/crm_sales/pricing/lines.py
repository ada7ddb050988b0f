"""Price the lines that a client sends, for opportunities, quotes, orders and invoices."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from crm_contracts.money import Money
from crm_contracts.sales.pricing import PricedLine
from crm_contracts.sentences import said
from crm_contracts.types import CONSUMING
from crm_contracts.unit_price import as_shown, both
from crm_kit.errors import InvalidValue, UnknownReference
from crm_kit.store.record import new_id
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.price_list.model import PriceList
from crm_sales.price_list.prices import ProductPrice, prices_of, require_price_list
from crm_sales.pricing.domain import LineTerms, Price, price_line, require_currency, require_decimals, volume_discount
from crm_sales.pricing.schemas import LineInput


async def price_lines(
    uow: UnitOfWork,
    wanted: Sequence[LineInput],
    *,
    price_list_id: UUID | None,
    currency: str,
    kept: Iterable[PricedLine] = (),
) -> list[PricedLine]:
    """Price every line at today's price, in the given order. ``kept`` are the previous lines of the document.

    One statement reads the products of all lines and locks them until the end of the transaction. A retired product
    stays in a line that already has it.

    422 with a pointer into the line: ``unknown-reference``, ``inactive-reference``, ``duplicate-line``,
    ``name-required``, ``price-required``, ``tax-required``, ``too-many-decimals``, ``currency-mismatch``,
    ``discount-too-large``, ``too-large``.
    """
    before = {line.id: line for line in kept}
    _require_known(wanted, before.keys())
    wanted = [_at_exact_price(line, before.get(line.id) if line.id else None) for line in wanted]
    prices = await prices_of(uow, price_list_id, {line.product_id for line in wanted if line.product_id is not None})
    day = today(uow)
    lines = []
    for position, line in enumerate(wanted):
        pointer = f"/lines/{position}"
        if line.product_id is None:
            sold = _written_in(line, pointer)
        else:
            new = line.id is None or before[line.id].product_id != line.product_id
            sold = _product(line, prices.get(line.product_id), day if new else None, pointer)
        lines.append(_priced(line, sold, currency, pointer))
    return lines


def as_inputs(lines: Iterable[PricedLine]) -> list[LineInput]:
    """Convert stored lines to inputs, to price them again. They may hold what an earlier release took and this one refuses."""
    members = set(LineInput.model_fields)
    return [LineInput.model_validate(line.model_dump(include=members), context={CONSUMING: True}) for line in lines]


async def price_list_of(uow: UnitOfWork, price_list_id: UUID | None) -> PriceList | None:
    """Return the price list of a document, which must be valid today; 422 otherwise."""
    return None if price_list_id is None else await require_price_list(uow, price_list_id, "/price_list_id")


def require_currency_of(price_list: PriceList | None, currency: str, pointer: str) -> None:
    """Raise 422 ``currency-mismatch`` for a price list in another currency than the document's."""
    if price_list is not None and price_list.currency != currency:
        message = said(
            "Choose a price list in {currency}: this one is in {other}.", currency=currency, other=price_list.currency
        )
        raise InvalidValue(pointer, "currency-mismatch", message)


def currency_of(lines: Iterable[LineInput], *others: Money | None) -> str | None:
    """Return the currency of the first amount of a body; None without amounts."""
    prices = (line.price for line in lines)
    return next((amount.currency for amount in (*prices, *others) if amount is not None), None)


def _at_exact_price(line: LineInput, was: PricedLine | None) -> LineInput:
    """Give a line its exact price if it came back as it was read, without the exact price. An explicit null drops that price."""
    if was is None or was.product_id != line.product_id or "exact_unit_price" in line.model_fields_set:
        return line
    exact = as_shown(line.unit_price, was.price)
    return line if exact is None else line.model_copy(update={"exact_unit_price": exact})


@dataclass(frozen=True, slots=True)
class _Sold:
    """What is sold in a line, and the price of one unit."""

    product_id: UUID | None
    name: str
    unit: str | None
    price: ProductPrice | None
    tax_percent: Decimal


def _written_in(line: LineInput, pointer: str) -> _Sold:
    if line.name is None:
        raise InvalidValue(f"{pointer}/name", "name-required", "Send a name or a product_id.")
    return _Sold(None, line.name, line.unit, None, Decimal(0))


def _product(line: LineInput, price: ProductPrice | None, sold_on: date | None, pointer: str) -> _Sold:
    if price is None:
        raise UnknownReference(f"{pointer}/product_id", "product")
    product = price.product
    if sold_on is not None:
        product.require_sold(sold_on, f"{pointer}/product_id")
    require_decimals(line.quantity, product.decimals, f"{pointer}/quantity")
    return _Sold(product.id, product.name, product.unit, price, product.tax_percent)


def _priced(line: LineInput, sold: _Sold, currency: str, pointer: str) -> PricedLine:
    unit_price, off = _unit_price(line, sold.price, currency, pointer)
    terms = LineTerms(
        quantity=line.quantity,
        unit_price=unit_price,
        volume_discount=off,
        manual_discount=line.manual_discount or Money.zero(currency),
        tax_percent=_tax(line, sold.tax_percent, pointer),
    )
    price = price_line(terms, pointer)
    (shown_price, exact_price), (shown_off, exact_off) = both(unit_price), both(off)
    # The name and the unit of a product may be older than today's rule for texts.
    return PricedLine.stored(
        {
            "id": line.id or new_id(),
            "product_id": sold.product_id,
            "name": sold.name,
            "unit": sold.unit,
            "quantity": line.quantity,
            "unit_price": shown_price,
            "exact_unit_price": exact_price,
            "price_overridden": line.given_price,
            "volume_discount": shown_off,
            "exact_volume_discount": exact_off,
            "manual_discount": terms.manual_discount,
            "tax_percent": terms.tax_percent,
            "tax_overridden": line.given_tax,
            "net": price.net,
            "tax": price.tax,
        }
    )


def _unit_price(line: LineInput, price: ProductPrice | None, currency: str, pointer: str) -> tuple[Price, Price]:
    """Return the unit price and its volume discount. A price that the caller gave has no volume discount."""
    at = f"{pointer}/unit_price"
    if line.given_price:
        given = line.price
        if given is None:
            raise InvalidValue(at, "price-required", "Send the unit price, or set price_overridden to false.")
        require_currency(given, currency, at)
        return given, Money.zero(currency)
    if price is None or price.unit_price is None:
        raise InvalidValue(at, "price-required", "Send the unit price: the price list has no price for this.")
    require_currency(price.unit_price, currency, at)
    return price.unit_price, volume_discount(price.breaks, price.unit_price, line.quantity)


def _tax(line: LineInput, of_product: Decimal, pointer: str) -> Decimal:
    if not line.given_tax:
        return of_product
    if line.tax_percent is None:
        message = "Send the tax percentage, or set tax_overridden to false."
        raise InvalidValue(f"{pointer}/tax_percent", "tax-required", message)
    return line.tax_percent


def _require_known(wanted: Sequence[LineInput], known: Set[UUID]) -> None:
    seen: set[UUID] = set()
    for position, line in enumerate(wanted):
        if line.id is None:
            continue
        if line.id not in known:
            raise UnknownReference(f"/lines/{position}/id", "line")
        if line.id in seen:
            raise InvalidValue(f"/lines/{position}/id", "duplicate-line", "Send each line once.")
        seen.add(line.id)
