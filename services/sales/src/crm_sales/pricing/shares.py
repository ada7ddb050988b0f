"""Parts of a document: an order is billed by several invoices, an invoice credited by several notes (ADR 26).

Every amount of a part is the share of its quantity in what is left, rounded half up; who takes the last of a line takes the
rest of its amounts, and who takes the last of all lines the rest of discount and freight. So the parts add up to the whole
exactly, in every currency, however it is cut and whatever is given back in between. Pure Decimal arithmetic.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Protocol
from uuid import UUID

from crm_contracts.money import Money, total
from crm_kit.errors import InvalidValue

# 15 + 4 digits of an amount times 10 + 5 of a quantity, and enough behind them that no quotient meets a half by accident.
_WIDE = Context(prec=60)


@dataclass(frozen=True, slots=True)
class LineAmounts:
    """So much of a line, and what that much costs."""

    quantity: Decimal
    manual_discount: Money
    net: Money
    tax: Money

    def without(self, other: "LineAmounts") -> "LineAmounts":
        """What is left when that is taken away."""
        return LineAmounts(
            self.quantity - other.quantity,
            self.manual_discount - other.manual_discount,
            self.net - other.net,
            self.tax - other.tax,
        )

    def share(self, quantity: Decimal) -> "LineAmounts":
        """So much of it."""
        return LineAmounts(
            quantity,
            _part(self.manual_discount, quantity, self.quantity),
            _part(self.net, quantity, self.quantity),
            _part(self.tax, quantity, self.quantity),
        )


@dataclass(frozen=True, slots=True)
class Amounts:
    """What the lines of a document cost, and its discount and freight."""

    lines: Mapping[UUID, LineAmounts]
    discount_amount: Money
    discount_total: Money
    freight: Money

    @property
    def currency(self) -> str:
        """The one currency of all amounts."""
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
        """What is left when those are taken away; each of their lines is one of these."""
        lines = dict(self.lines)
        discount_amount, discount_total, freight = self.discount_amount, self.discount_total, self.freight
        for other in others:
            for line_id, line in other.lines.items():
                lines[line_id] = lines[line_id].without(line)
            discount_amount -= other.discount_amount
            discount_total -= other.discount_total
            freight -= other.freight
        return Amounts(lines, discount_amount, discount_total, freight)

    def share(self, quantities: Mapping[UUID, Decimal]) -> "Amounts":
        """So much of each of these lines, with discount and freight in proportion to what the lines cost."""
        lines = {line_id: self.lines[line_id].share(quantity) for line_id, quantity in quantities.items()}
        last = all(quantities.get(line_id, Decimal(0)) == line.quantity for line_id, line in self.lines.items())
        if last:
            return Amounts(lines, self.discount_amount, self.discount_total, self.freight)
        net = total((line.net for line in lines.values()), self.currency).amount
        of = self.subtotal.amount
        return Amounts(
            lines,
            _part(self.discount_amount, net, of),
            _part(self.discount_total, net, of),
            _part(self.freight, net, of),
        )


def _part(amount: Money, share: Decimal, of: Decimal) -> Money:
    """``share`` out of ``of``; all of it exactly when they are the same, nothing of nothing."""
    if not of:
        return Money.zero(amount.currency)
    if share == of:
        return amount
    return Money.rounded(_WIDE.divide(_WIDE.multiply(amount.amount, share), of), amount.currency)


class LineWish(Protocol):
    """So much of one line, as a client asks for it."""

    @property
    def line_id(self) -> UUID: ...
    @property
    def quantity(self) -> Decimal: ...


def take(left: Mapping[UUID, Decimal], wanted: Sequence[LineWish] | None, why: str) -> dict[UUID, Decimal]:
    """The quantities that are asked for, in the order of the lines; all that is left of every line when nothing is said.

    422 ``unknown-line``, ``duplicate-line``, and ``quantity-exceeded`` with ``why`` when more is asked for than is left.
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
            message = f"Send at most {left[wish.line_id].normalize():f}, what is left of this line: {why}."
            raise InvalidValue(f"{pointer}/quantity", "quantity-exceeded", message)
        taken[wish.line_id] = wish.quantity
    return {line_id: taken[line_id] for line_id in left if line_id in taken}
