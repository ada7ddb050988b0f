"""Prices of products: the rules that need no database."""

from collections.abc import Sequence
from decimal import Decimal

from crm_contracts.money import Money, MoneyError
from crm_contracts.sales.choices import PricingMethod
from crm_contracts.sales.price_list_item import VolumeBreak
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue
from crm_sales.pricing.domain import Price, percent_of_price


def require_price(method: str, amount: Money | None, percent: Decimal | None, currency: str) -> None:
    """Require amount or percentage as the pricing method says. The other one must be null.

    422 ``amount-required``, ``percent-required``, ``contradicts-method``, ``currency-mismatch``.
    """
    given = {"amount": amount, "percent": percent}
    wanted, other = ("amount", "percent") if method == PricingMethod.AMOUNT else ("percent", "amount")
    if given[wanted] is None:
        raise InvalidValue(
            f"/{wanted}", f"{wanted}-required", said("Send {field}: this pricing method needs it.", field=wanted)
        )
    if given[other] is not None:
        raise InvalidValue(
            f"/{other}",
            "contradicts-method",
            said("Leave {field} out: this pricing method does not use it.", field=other),
        )
    if amount is not None:
        _require_currency(amount, currency, "/amount")


def require_breaks(breaks: Sequence[VolumeBreak], currency: str) -> None:
    """Require rising quantities, and in each break one discount: a percentage, or an amount in the list's currency.

    422 ``not-rising``, ``one-discount``, ``currency-mismatch`` with the pointer of the break.
    """
    reached = Decimal(0)
    for position, one in enumerate(breaks):
        pointer = f"/volume_breaks/{position}"
        if one.min_quantity <= reached:
            message = "Send a higher quantity than that of the volume break before."
            raise InvalidValue(f"{pointer}/min_quantity", "not-rising", message)
        reached = one.min_quantity
        if (one.discount_percent is None) == (one.discount_amount is None):
            raise InvalidValue(pointer, "one-discount", "Send either discount_percent or discount_amount.")
        if one.discount_amount is not None:
            _require_currency(one.discount_amount, currency, f"{pointer}/discount_amount")


def percent_price(percent: Decimal, list_price: Price | None, currency: str, pointer: str) -> Price:
    """Return the percentage of a list price, rounded half up to the decimals of the currency, or to four more if it has more.

    422 ``list-price-required`` with the pointer without a list price in this currency, ``too-large`` past 15 integer
    digits.
    """
    if list_price is None or list_price.currency != currency:
        message = said(
            "Give the product a list price in {currency} first: this price is a percentage of it.", currency=currency
        )
        raise InvalidValue(pointer, "list-price-required", message)
    try:
        return percent_of_price(list_price, percent)
    except MoneyError as error:
        raise InvalidValue(
            pointer,
            "too-large",
            said(
                "{percent} percent of {list_price} is too much: {error}.",
                percent=percent,
                list_price=list_price,
                error=error.args[0],
            ),
        ) from error


def _require_currency(amount: Money, currency: str, pointer: str) -> None:
    if amount.currency != currency:
        raise InvalidValue(
            f"{pointer}/currency",
            "currency-mismatch",
            said("Send {currency}, the currency of the list.", currency=currency),
        )
