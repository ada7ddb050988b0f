"""The table of orders, and the changes of an order."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.order import OrderLine, OrderRecord
from crm_contracts.sales.pricing import PricedLine
from crm_kit.errors import DomainError
from crm_kit.store.columns import name_indexes, owned_indexes, search_index, sorted_indexes
from crm_kit.store.refers import reference
from crm_kit.store.searching import search_column, search_rule
from crm_sales.db import Base
from crm_sales.document.model import SalesDocument, document_indexes
from crm_sales.order.domain import LIFECYCLE, Progress, standing
from crm_sales.pricing.shares import Amounts, LineAmounts


class Order(SalesDocument, Base):
    """A purchase of a customer."""

    __tablename__ = "order"
    numbered = "ORD"
    record_model: ClassVar[type[BaseModel]] = OrderRecord
    lifecycle = LIFECYCLE
    called = "number"
    line_model = OrderLine

    number: Mapped[str] = mapped_column(String(20), unique=True)
    # Unique: a quote becomes an order at most once.
    quote_id: Mapped[UUID | None] = reference("quote", unique=True)
    requested_delivery: Mapped[date | None]
    prices_locked: Mapped[bool]
    submitted_at: Mapped[datetime | None]
    fulfilled_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]

    search_text: Mapped[str] = search_column("name", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("order", "name"),
        Index(None, "name", "id"),
        Index(None, "number", "id"),
        *sorted_indexes("order", "total_amount", "total_base_amount", "requested_delivery", "submitted_at"),
        *document_indexes("order"),
        search_index(),
    )

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Rule out actions by lines and price lock: an invoiced order is not canceled, a delivered one not delivered
        again."""
        lines: Sequence[Mapping[str, str]] = values["lines"]
        if values["prices_locked"]:
            out = {
                "lock-prices": "The prices are already locked.",
                "reprice": "The prices are locked. Unlock them first.",
            }
        else:
            out = {"unlock-prices": "The prices are not locked."}
        if any(line["invoiced_quantity"] != "0" for line in lines):
            out["cancel"] = "An invoiced order cannot be canceled. Cancel its invoices first."
        if all(line["shipped_quantity"] == line["quantity"] for line in lines):
            out["fulfill"] = "Every line of the order is already delivered."
        return out

    def read_lines(self) -> list[OrderLine]:
        """Return the stored lines as models."""
        return [OrderLine.stored(line) for line in self.lines]

    def keep_lines(self, lines: Sequence[PricedLine]) -> None:
        """Set the lines. Nothing is delivered or billed of new ones."""
        super().keep_lines([line if isinstance(line, OrderLine) else new_line(line) for line in lines])

    def submit(self, at: datetime) -> None:
        """Submit the order (Dataverse: the state Submitted)."""
        self.move("submit")
        if not self.lines:
            raise DomainError("lines-required", "Add at least one line before you submit the order.")
        self.submitted_at = at

    def lock_prices(self, locked: bool) -> None:
        """Lock or unlock the prices (Dataverse: LockSalesOrderPricing). Locked prices ignore the price list."""
        self.move("lock-prices" if locked else "unlock-prices")
        self.prices_locked = locked

    def unshipped(self) -> dict[UUID, Decimal]:
        """Return the quantity of each line that is not delivered."""
        return {line.id: line.quantity - line.shipped_quantity for line in self.read_lines()}

    def uninvoiced(self) -> dict[UUID, Decimal]:
        """Return the quantity of each line that is not billed."""
        return {line.id: line.quantity - line.invoiced_quantity for line in self.read_lines()}

    def ship(self, quantities: Mapping[UUID, Decimal], at: datetime) -> bool:
        """Count these quantities as delivered (Dataverse: FulfillSalesOrder).

        Return whether the delivery is complete.
        """
        lines = self._counted(shipped=quantities)
        self.move("fulfill", standing_of(lines))
        self._keep(lines)
        complete = not any(self.unshipped().values())
        if complete:
            self.fulfilled_at = at
        return complete

    def bill(self, quantities: Mapping[UUID, Decimal]) -> bool:
        """Count these quantities as billed. Return whether the order is fully billed."""
        lines = self._counted(invoiced=quantities)
        self.move("invoice", standing_of(lines))
        self._keep(lines)
        return self.status == "invoiced"

    def unbill(self, quantities: Mapping[UUID, Decimal]) -> None:
        """Release the quantities of a canceled or credited invoice, so that they can be billed again."""
        lines = self._counted(invoiced={line_id: -quantity for line_id, quantity in quantities.items()})
        self.follow("unbill", standing_of(lines))
        self._keep(lines)

    def cancel(self, at: datetime) -> None:
        """Cancel the order."""
        self.move("cancel")
        self.canceled_at = at

    def amounts(self) -> Amounts:
        """Return the amounts of the order, for shares of its invoices."""
        lines = {
            line.id: LineAmounts(line.quantity, line.manual_discount, line.net, line.tax) for line in self.read_lines()
        }
        nothing = Money.zero(self.currency)
        return Amounts(lines, self.discount_amount or nothing, self.discount_total, self.freight or nothing)

    def _keep(self, lines: Sequence[OrderLine]) -> None:
        self.lines = [line.model_dump(mode="json") for line in lines]

    def _counted(
        self, *, shipped: Mapping[UUID, Decimal] | None = None, invoiced: Mapping[UUID, Decimal] | None = None
    ) -> list[OrderLine]:
        """Return the lines with these quantities added."""
        nothing = Decimal(0)
        return [
            line.model_copy(
                update={
                    "shipped_quantity": line.shipped_quantity + (shipped or {}).get(line.id, nothing),
                    "invoiced_quantity": line.invoiced_quantity + (invoiced or {}).get(line.id, nothing),
                }
            )
            for line in self.read_lines()
        ]


def standing_of(lines: Sequence[OrderLine]) -> str:
    """Return the status reason that follows from the delivered and billed quantities of the lines."""
    return standing(Progress(line.quantity, line.shipped_quantity, line.invoiced_quantity) for line in lines)


def new_line(line: PricedLine) -> OrderLine:
    """Make a line of which nothing is delivered or billed."""
    return OrderLine(
        **{field: getattr(line, field) for field in PricedLine.model_fields},
        shipped_quantity=Decimal(0),
        invoiced_quantity=Decimal(0),
    )
