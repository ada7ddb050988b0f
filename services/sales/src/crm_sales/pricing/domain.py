"""Prices of lines and documents: Decimal arithmetic, rounded half up per currency, the same for all kinds of documents.

The rules are in domain.md (*Totals*). Amounts of different currencies are never added.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

from crm_contracts.money import Money, MoneyError, total
from crm_contracts.sentences import said
from crm_contracts.unit_price import UnitPrice
from crm_kit.errors import InvalidValue

# An amount has 15 + 4 digits, a quantity 10 + 5. The rest is room for a discount.
_EXACT = Context(prec=60)
_HUNDRED = Decimal(100)

Price = Money | UnitPrice
"""The price of one unit, or the discount on it. The amounts of a line are Money."""


@dataclass(frozen=True, slots=True)
class LineTerms:
    """The inputs of a line's price. All amounts have the same currency."""

    quantity: Decimal
    unit_price: Price
    volume_discount: Price
    manual_discount: Money
    tax_percent: Decimal


@dataclass(frozen=True, slots=True)
class LinePrice:
    """The price of a line."""

    net: Money
    tax: Money


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a document."""

    subtotal: Money
    discount_total: Money
    tax_total: Money
    total: Money


@dataclass(frozen=True, slots=True)
class VolumeBreak:
    """The discount on each unit from a quantity on: either a percentage of the unit price or an amount."""

    min_quantity: Decimal
    percent: Decimal | None = None
    amount: Money | None = None


def price_line(terms: LineTerms, pointer: str) -> LinePrice:
    """Net = round((unit price - volume discount) x quantity) - manual discount; tax = round(net x percent / 100).

    422 ``discount-too-large`` if the discounts exceed the price, ``currency-mismatch`` for amounts in several
    currencies, ``too-large`` past 15 integer digits. ``pointer`` is that of the line, such as ``/lines/3``.
    """
    currency = terms.unit_price.currency
    require_currency(terms.volume_discount, currency, f"{pointer}/volume_discount")
    require_currency(terms.manual_discount, currency, f"{pointer}/manual_discount")
    unit = terms.unit_price.amount - terms.volume_discount.amount
    gross = _money(_EXACT.multiply(unit, terms.quantity), currency, f"{pointer}/quantity")
    # The price that the customer sees is rounded, and can be discounted to nothing.
    if terms.manual_discount > gross:
        message = "Send smaller discounts: they are more than the price of the line."
        raise InvalidValue(f"{pointer}/manual_discount", "discount-too-large", message)
    net = gross - terms.manual_discount
    return LinePrice(net, percent_of(net, terms.tax_percent))


def volume_discount(breaks: Sequence[VolumeBreak], unit_price: Price, quantity: Decimal) -> Price:
    """Return the discount on each unit: that of the highest break that the quantity reaches, at most the unit price.

    A percentage is rounded half up to the decimals of the currency, or to four more if the price has more.
    """
    reached = [one for one in breaks if one.min_quantity <= quantity]
    if not reached:
        return Money.zero(unit_price.currency)
    best = max(reached, key=lambda one: one.min_quantity)
    off = best.amount if best.percent is None else percent_of_price(unit_price, best.percent)
    if off is None:
        return Money.zero(unit_price.currency)
    require_currency(off, unit_price.currency, "/price_list_id")
    return off if off.amount <= unit_price.amount else unit_price


def percent_of_price(price: Price, percent: Decimal) -> Price:
    """Return the percentage of a price, rounded half up to the decimals of the currency, or to four more if it has more."""
    if isinstance(price, UnitPrice) and price.is_fine:
        exact = _EXACT.divide(_EXACT.multiply(price.amount, percent), _HUNDRED)
        return UnitPrice.rounded(exact, price.currency)
    return percent_of(Money(price.amount, price.currency), percent)


def totals(
    currency: str,
    prices: Iterable[LinePrice],
    *,
    discount_percent: Decimal | None,
    discount_amount: Money | None,
    freight: Money | None,
) -> Totals:
    """Return the totals of a document.

    Subtotal = sum of net; discount = round(subtotal x percent / 100) + amount, at most the subtotal; tax = sum of the
    lines' taxes (see ``tax.py``); total = subtotal - discount + freight + tax.

    422 ``currency-mismatch`` with the pointer of the amount, ``too-large`` if a sum has more than 15 integer digits.
    """
    known = list(prices)
    nothing = Money.zero(currency)
    for amount, pointer in ((discount_amount, "/discount_amount"), (freight, "/freight")):
        if amount is not None:
            require_currency(amount, currency, pointer)
    try:
        subtotal = total((price.net for price in known), currency)
        wanted = percent_of(subtotal, discount_percent or Decimal(0)) + (discount_amount or nothing)
        discount = min(wanted, subtotal)
        tax = total((price.tax for price in known), currency)
        due = subtotal - discount + (freight or nothing) + tax
    except MoneyError as error:
        raise InvalidValue(
            "/lines", "too-large", said("The sum of the lines is too large: {error}.", error=error.args[0])
        ) from error
    return Totals(subtotal, discount, tax, due)


def percent_of(amount: Money, percent: Decimal) -> Money:
    """Return the percentage of an amount, rounded half up to the decimals of the currency."""
    return Money.rounded(_EXACT.divide(_EXACT.multiply(amount.amount, percent), _HUNDRED), amount.currency)


def require_currency(amount: Price, currency: str, pointer: str) -> None:
    """Raise 422 ``currency-mismatch`` for an amount in another currency than the document's."""
    if amount.currency != currency:
        message = said("Send the amount in {currency}, the currency of this document.", currency=currency)
        raise InvalidValue(f"{pointer}/currency", "currency-mismatch", message)


def require_decimals(quantity: Decimal, decimals: int, pointer: str) -> None:
    """Raise 422 ``too-many-decimals`` for a quantity with more decimals than the product allows."""
    if quantity != round(quantity, decimals):
        if decimals:
            how = said("Send the quantity with at most {decimals} decimals.", decimals=decimals)
        else:
            how = said("Send the quantity in whole units.")
        raise InvalidValue(pointer, "too-many-decimals", how)


def _money(exact: Decimal, currency: str, pointer: str) -> Money:
    try:
        return Money.rounded(exact, currency)
    except MoneyError as error:
        raise InvalidValue(
            pointer, "too-large", said("The price of this quantity is too large: {error}.", error=error.args[0])
        ) from error
