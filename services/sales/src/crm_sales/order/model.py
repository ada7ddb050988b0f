"""The order as a row, and what can happen to it."""

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
from crm_kit.store.columns import search_column, sorted_indexes
from crm_kit.store.refers import reference
from crm_sales.db import Base
from crm_sales.document.model import SalesDocument, document_indexes
from crm_sales.order.domain import LIFECYCLE, Progress, standing
from crm_sales.pricing.shares import Amounts, LineAmounts


class Order(SalesDocument, Base):
    """What a customer has bought."""

    __tablename__ = "order"
    record_model: ClassVar[type[BaseModel]] = OrderRecord
    lifecycle = LIFECYCLE
    called = "number"
    line_model = OrderLine

    number: Mapped[str] = mapped_column(String(20), unique=True)
    # Unique: a quote becomes an order once.
    quote_id: Mapped[UUID | None] = reference("quote", unique=True)
    requested_delivery: Mapped[date | None]
    prices_locked: Mapped[bool]
    submitted_at: Mapped[datetime | None]
    fulfilled_at: Mapped[datetime | None]
    canceled_at: Mapped[datetime | None]

    search_text: Mapped[str] = search_column("name", "number")

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "owner_id", "created_at", "id"),
        Index(None, "business_unit_id", "created_at", "id"),
        Index(None, "modified_at", "id"),
        Index(None, "name", "id"),
        Index(None, "number", "id"),
        *sorted_indexes("order", "total_amount", "total_base_amount", "requested_delivery", "submitted_at"),
        *document_indexes("order"),
        Index(None, "search_text", postgresql_using="gin", postgresql_ops={"search_text": "gin_trgm_ops"}),
    )

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """What the lines and the lock rule out: nothing is canceled that was billed, nor delivered twice."""
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
        """The lines as what they are."""
        return [OrderLine.stored(line) for line in self.lines]

    def keep_lines(self, lines: Sequence[PricedLine]) -> None:
        """Have these lines; of new ones nothing was delivered or billed."""
        super().keep_lines([line if isinstance(line, OrderLine) else new_line(line) for line in lines])

    def submit(self, at: datetime) -> None:
        """The order stands (Dataverse: the state Submitted)."""
        self.move("submit")
        if not self.lines:
            raise DomainError("lines-required", "Add at least one line before you submit the order.")
        self.submitted_at = at

    def lock_prices(self, locked: bool) -> None:
        """Keep what the lines cost whatever the price list says, or no longer (Dataverse: LockSalesOrderPricing)."""
        self.move("lock-prices" if locked else "unlock-prices")
        self.prices_locked = locked

    def unshipped(self) -> dict[UUID, Decimal]:
        """What of each line is to be delivered."""
        return {line.id: line.quantity - line.shipped_quantity for line in self.read_lines()}

    def uninvoiced(self) -> dict[UUID, Decimal]:
        """What of each line is to be billed."""
        return {line.id: line.quantity - line.invoiced_quantity for line in self.read_lines()}

    def ship(self, quantities: Mapping[UUID, Decimal], at: datetime) -> bool:
        """So much was delivered (Dataverse: FulfillSalesOrder); whether that was the last of it."""
        lines = self._counted(shipped=quantities)
        self.move("fulfill", standing_of(lines))
        self._keep(lines)
        complete = not any(self.unshipped().values())
        if complete:
            self.fulfilled_at = at
        return complete

    def bill(self, quantities: Mapping[UUID, Decimal]) -> bool:
        """So much is on an invoice now; whether that was the last of it."""
        lines = self._counted(invoiced=quantities)
        self.move("invoice", standing_of(lines))
        self._keep(lines)
        return self.status == "invoiced"

    def unbill(self, quantities: Mapping[UUID, Decimal]) -> None:
        """An invoice is void, and what was on it can be billed again."""
        lines = self._counted(invoiced={line_id: -quantity for line_id, quantity in quantities.items()})
        self.follow("unbill", standing_of(lines))
        self._keep(lines)

    def cancel(self, at: datetime) -> None:
        """It is called off."""
        self.move("cancel")
        self.canceled_at = at

    def amounts(self) -> Amounts:
        """What it costs, to be shared by its invoices."""
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
        """The lines when so much more of each is shipped and invoiced."""
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
    """The status reason that follows from what was shipped and invoiced of these lines."""
    return standing(Progress(line.quantity, line.shipped_quantity, line.invoiced_quantity) for line in lines)


def new_line(line: PricedLine) -> OrderLine:
    """A line of which nothing was delivered or billed yet."""
    return OrderLine(
        **{field: getattr(line, field) for field in PricedLine.model_fields},
        shipped_quantity=Decimal(0),
        invoiced_quantity=Decimal(0),
    )
