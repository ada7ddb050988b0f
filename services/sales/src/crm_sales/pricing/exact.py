"""Prices of one unit that a record keeps as money in ``<field>``, and exactly in ``exact_<field>`` if the money is rounded."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from crm_contracts.money import Money
from crm_contracts.unit_price import UnitPrice, as_shown, both, chosen


def exact_price(amount: Money | None, exact: Mapping[str, str] | None) -> Money | UnitPrice | None:
    """Return the exact price if it rounds to the amount. The previous release changes the amount only."""
    if amount is None or exact is None:
        return amount
    price = UnitPrice(Decimal(exact["amount"]), exact["currency"])
    return price if price.money == amount else amount


def price_of(record: object, field: str) -> Money | UnitPrice | None:
    """Return the exact price of one unit; None without one."""
    return exact_price(getattr(record, field), getattr(record, f"exact_{field}"))


def take_price(record: object, field: str, sent: Mapping[str, Any]) -> None:
    """Set the price from the members that a client sent. Members that it left out are not in ``sent``.

    A client that does not know the exact price may send the rounded one back as it was read. The exact price then stays.
    """
    exact = f"exact_{field}"
    price, fine = sent.get(field), sent.get(exact)
    shown = None if exact in sent else as_shown(price, price_of(record, field))
    if shown is not None or field in sent or fine is not None:
        _keep(record, field, shown or chosen(price, fine))
    elif exact in sent:
        setattr(record, exact, None)


def members_of(*fields: str) -> frozenset[str]:
    """Return the members of a body that say these prices."""
    return frozenset(fields) | {f"exact_{field}" for field in fields}


def _keep(record: object, field: str, price: UnitPrice | None) -> None:
    money, exact = (None, None) if price is None else both(price)
    setattr(record, field, money)
    setattr(record, f"exact_{field}", None if exact is None else exact.as_json())
