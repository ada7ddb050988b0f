"""The tax of the lines of a document, by the rules that the document keeps (ADR 82). Exact arithmetic in minor units.

With ``before_tax`` the discount on the subtotal is divided over the lines in proportion to their net amounts, and what is left
of a line is taxed. With ``document`` the tax of all lines with the same percentage is rounded half up once (EN 16931,
BR-CO-17), and divided over these lines. Parts are rounded down, and those with the largest remainders up, the first line first
among equals. They therefore add up, and ``tax_total`` is the sum of the lines' taxes under each rule.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from crm_contracts.money import Money, exponent
from crm_contracts.sales.choices import HeaderDiscount, TaxRounding

_PERCENT_STEPS = 10**5
"""A percentage has at most three decimals, so each of them is a whole number of these parts."""


@dataclass(frozen=True, slots=True)
class TaxRules:
    """How a document is taxed. The organisation sets it, and a document keeps what held when it was created."""

    rounding: str = TaxRounding.LINE
    discount: str = HeaderDiscount.AFTER_TAX

    @property
    def each_line_alone(self) -> bool:
        """Whether the tax of a line depends on that line only."""
        return self.rounding == TaxRounding.LINE and self.discount == HeaderDiscount.AFTER_TAX


@dataclass(frozen=True, slots=True)
class Taxed:
    """The net amount of a line and its tax in percent."""

    net: Money
    percent: Decimal


def taxes(lines: Sequence[Taxed], discount_total: Money, rules: TaxRules) -> list[Money]:
    """Return the tax of each line. ``discount_total`` is the discount on the sum of the lines, at most that sum."""
    currency = discount_total.currency
    bases = [_units(line.net) for line in lines]
    if rules.discount == HeaderDiscount.BEFORE_TAX and (subtotal := sum(bases)):
        discount = _units(discount_total)
        parts = divide([discount * base for base in bases], subtotal, discount)
        bases = [base - part for base, part in zip(bases, parts, strict=True)]
    exact = [base * int(line.percent * 1000) for base, line in zip(bases, lines, strict=True)]
    if rules.rounding == TaxRounding.LINE:
        found = [_half_up(one, _PERCENT_STEPS) for one in exact]
    else:
        found = [0] * len(lines)
        for percent in {line.percent for line in lines}:
            at = [position for position, line in enumerate(lines) if line.percent == percent]
            group = [exact[position] for position in at]
            shares = divide(group, _PERCENT_STEPS, _half_up(sum(group), _PERCENT_STEPS))
            for position, share in zip(at, shares, strict=True):
                found[position] = share
    return [Money(Decimal(units).scaleb(-exponent(currency)), currency) for units in found]


def divide(numerators: Sequence[int], denominator: int, whole: int) -> list[int]:
    """Return each numerator / ``denominator`` rounded down, or up where the remainder is among the largest, so that the sum is
    ``whole``: the sum of the quotients rounded in any way."""
    quotients = [divmod(one, denominator) for one in numerators]
    units = [quotient for quotient, _ in quotients]
    by_remainder = sorted(range(len(units)), key=lambda at: -quotients[at][1])
    for at in by_remainder[: whole - sum(units)]:
        units[at] += 1
    return units


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _units(amount: Money) -> int:
    return int(amount.amount.scaleb(exponent(amount.currency)))
