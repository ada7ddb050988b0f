"""Parts of a document: an order is billed by several invoices, an invoice credited by several credit notes (ADR 26).

Each amount of a part is its quantity's share of what is left, rounded half up. The part that takes the last quantity of
a line takes the rest of the line's amounts. The part that takes the last of all lines takes the rest of discount and
freight. The parts therefore add up to the whole exactly in each currency, however it is divided and whatever is
released in between. Decimal arithmetic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Protocol
from uuid import UUID

from crm_contracts.money import Money, total
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue

# An amount has 15 + 4 digits, a quantity 10 + 5. The extra digits keep a quotient from being rounded to a half.
_WIDE = Context(prec=60)


@dataclass(frozen=True, slots=True)
class LineAmounts:
    """A quantity of a line and its amounts."""

    quantity: Decimal
    manual_discount: Money
    net: Money
    tax: Money

    def without(self, other: "LineAmounts") -> "LineAmounts":
        """Return what is left without the other."""
        return LineAmounts(
            self.quantity - other.quantity,
            self.manual_discount - other.manual_discount,
            self.net - other.net,
            self.tax - other.tax,
        )

    def share(self, quantity: Decimal) -> "LineAmounts":
        """Return the share of this quantity."""
        return LineAmounts(
            quantity,
            share_of(self.manual_discount, quantity, self.quantity),
            share_of(self.net, quantity, self.quantity),
            share_of(self.tax, quantity, self.quantity),
        )


@dataclass(frozen=True, slots=True)
class Amounts:
    """The amounts of a document: its lines, discount and freight."""

    lines: Mapping[UUID, LineAmounts]
    discount_amount: Money
    discount_total: Money
    freight: Money

    @property
    def currency(self) -> str:
        """The currency of all amounts."""
        return self.freight.currency

    @property
    def subtotal(self) -> Money:
        """Sum of the lines' net amounts."""
        return total((line.net for line in self.lines.values()), self.currency)

    @property
    def tax_total(self) -> Money:
        """Sum of the lines' taxes."""
        return total((line.tax for line in self.lines.values()), self.currency)

    @property
    def total(self) -> Money:
        """Subtotal - discount + freight + tax."""
        return self.subtotal - self.discount_total + self.freight + self.tax_total

    def without(self, others: Iterable["Amounts"]) -> "Amounts":
        """Return what is left without the others. Each of their lines must be a line of this document."""
        lines = dict(self.lines)
        discount_amount, discount_total, freight = self.discount_amount, self.discount_total, self.freight
        for other in others:
            for line_id, line in other.lines.items():
                lines[line_id] = lines[line_id].without(line)
            discount_amount -= other.discount_amount
            discount_total -= other.discount_total
            freight -= other.freight
        return Amounts(lines, discount_amount, discount_total, freight)

    def plus(self, others: Iterable["Amounts"]) -> "Amounts":
        """Return what is left with the others, which were taken before and are released again."""
        return self.without(other.negated() for other in others)

    @property
    def any_below_zero(self) -> bool:
        """Whether an amount is negative."""
        parts = (amount for line in self.lines.values() for amount in (line.manual_discount, line.net, line.tax))
        return any(
            one.amount < 0 for one in (*parts, self.discount_amount, self.discount_total, self.freight, self.total)
        )

    def negated(self) -> "Amounts":
        """Return the opposite amounts."""
        lines = {
            line_id: LineAmounts(-line.quantity, -line.manual_discount, -line.net, -line.tax)
            for line_id, line in self.lines.items()
        }
        return Amounts(lines, -self.discount_amount, -self.discount_total, -self.freight)

    def share(self, quantities: Mapping[UUID, Decimal]) -> "Amounts":
        """Return the share of these quantities. Discount and freight are in proportion to the net amounts."""
        lines = {line_id: self.lines[line_id].share(quantity) for line_id, quantity in quantities.items()}
        last = all(quantities.get(line_id, Decimal(0)) == line.quantity for line_id, line in self.lines.items())
        if last:
            return Amounts(lines, self.discount_amount, self.discount_total, self.freight)
        net = total((line.net for line in lines.values()), self.currency).amount
        of = self.subtotal.amount
        return Amounts(
            lines,
            share_of(self.discount_amount, net, of),
            share_of(self.discount_total, net, of),
            share_of(self.freight, net, of),
        )


def share_of(amount: Money, share: Decimal, of: Decimal) -> Money:
    """Return ``share`` / ``of`` of the amount: exactly the amount if the two are equal, zero if ``of`` is zero."""
    if not of:
        return Money.zero(amount.currency)
    if share == of:
        return amount
    return Money.rounded(_WIDE.divide(_WIDE.multiply(amount.amount, share), of), amount.currency)


class LineWish(Protocol):
    """A quantity of one line, as requested by a client."""

    @property
    def line_id(self) -> UUID: ...
    @property
    def quantity(self) -> Decimal: ...


def take(left: Mapping[UUID, Decimal], wanted: Sequence[LineWish] | None, why: str) -> dict[UUID, Decimal]:
    """Return the requested quantities in the order of the lines; everything that is left if ``wanted`` is None.

    422 ``unknown-line``, ``duplicate-line``, and ``quantity-exceeded`` with ``why`` for more than is left.
    """
    if wanted is None:
        return {line_id: quantity for line_id, quantity in left.items() if quantity}
    taken: dict[UUID, Decimal] = {}
    for position, wish in enumerate(wanted):
        pointer = f"/lines/{position}"
        if wish.line_id not in left:
            raise InvalidValue(f"{pointer}/line_id", "unknown-line", "Send the id of a line of the document.")
        if wish.line_id in taken:
            raise InvalidValue(f"{pointer}/line_id", "duplicate-line", "Send each line once.")
        if wish.quantity > left[wish.line_id]:
            message = said(
                "Send at most {left:f}, what is left of this line: {why}.", left=left[wish.line_id].normalize(), why=why
            )
            raise InvalidValue(f"{pointer}/quantity", "quantity-exceeded", message)
        taken[wish.line_id] = wish.quantity
    return {line_id: taken[line_id] for line_id in left if line_id in taken}
