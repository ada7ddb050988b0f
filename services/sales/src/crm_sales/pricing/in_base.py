"""Amounts of a document in base currency that add up as they do in its own currency (ADR 26).

The total is converted and rounded once. Its parts are rounded so that they add up to it: each is its exact value rounded
down or up, and those with the largest remainders are rounded up. Decimal arithmetic.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal

from crm_contracts.money import Money, quantum

# An amount has 15 + 4 digits, a rate 10 + 10.
_EXACT = Context(prec=60)


def parts_in_base(parts: Sequence[Money], rate: Decimal, whole: Money) -> list[Money]:
    """Return the parts in base currency, with the sum ``whole``: the sum of the parts at this rate, rounded half up.

    A part may be negative, such as a discount. Zero stays zero.
    """
    step = quantum(whole.currency)
    exact = [_EXACT.divide(_EXACT.multiply(part.amount, rate), step) for part in parts]
    units = [one.to_integral_value(ROUND_FLOOR) for one in exact]
    _round_up(units, exact, int(_EXACT.divide(whole.amount, step) - sum(units)))
    return [Money(_EXACT.multiply(one, step), whole.currency) for one in units]


def share_of_rest(part: Sequence[Money], left: Sequence[Money], left_in_base: Sequence[Money]) -> list[Money]:
    """Return what a part of a document takes of the amounts in base currency that other parts have left.

    All three have the same members, such as subtotal and tax; those that lower the total are negative. A member that the part
    takes whole is the rest exactly, so that all parts add up to the document, and no member has the opposite sign. The sum of
    the others is rounded half up.
    """
    base = left_in_base[0].currency
    step = quantum(base)
    rests = [_EXACT.divide(one.amount, step) for one in left_in_base]
    exact = [
        _EXACT.divide(_EXACT.multiply(rest, taken.amount), of.amount) if of.amount else Decimal(0)
        for rest, taken, of in zip(rests, part, left, strict=True)
    ]
    units = [one.to_integral_value(ROUND_FLOOR) for one in exact]
    sum_of_all = sum(exact, Decimal(0)).to_integral_value(ROUND_HALF_UP)
    wanted = max(Decimal(0), min(sum_of_all, sum(rests, Decimal(0))))
    _round_up(units, exact, int(wanted - sum(units)))
    return [Money(_EXACT.multiply(one, step), base) for one in units]


def _round_up(units: list[Decimal], exact: Sequence[Decimal], missing: int) -> None:
    """Add one unit to as many members as are missing, in place: to those with the largest remainders, not to whole ones."""
    by_remainder = sorted(range(len(units)), key=lambda at: units[at] - exact[at])
    for at in [at for at in by_remainder if units[at] != exact[at]][: max(missing, 0)]:
        units[at] += 1
