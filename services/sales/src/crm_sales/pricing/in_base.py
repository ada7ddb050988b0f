"""Amounts of a document in base currency that add up as they do in its own currency (ADR 26).

The total is converted and rounded once. Its parts are rounded so that they add up to it: each is its exact value rounded
down or up, and those with the largest remainders are rounded up. Decimal arithmetic.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal

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
    missing = int(_EXACT.divide(whole.amount, step) - sum(units))
    by_remainder = sorted(range(len(parts)), key=lambda at: units[at] - exact[at])
    for at in by_remainder[:missing]:
        units[at] += 1
    return [Money(_EXACT.multiply(one, step), whole.currency) for one in units]
