"""The table of sales contracts, and the changes of a contract."""

from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, Index, Numeric, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.sales_contract import SalesContractRecord
from crm_kit.store.columns import money_columns, name_indexes, owned_indexes, search_index, sorted_indexes
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.refers import references
from crm_kit.store.searching import search_column, search_rule
from crm_sales.customer_link.model import BelongsToCustomer, customer_indexes
from crm_sales.db import Base
from crm_sales.sales_contract.domain import LIFECYCLE, require_period


class SalesContract(BelongsToCustomer, OwnedRecord, Stateful, Base):
    """An agreement with a customer."""

    __tablename__ = "sales_contract"
    numbered = "SCO"
    record_model: ClassVar[type[BaseModel]] = SalesContractRecord
    lifecycle = LIFECYCLE
    money_fields: ClassVar[tuple[str, ...]] = ("value",)

    number: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    start_date: Mapped[date | None]
    end_date: Mapped[date | None]
    value: Mapped[Money | None] = money_columns("value")
    value_base: Mapped[Money | None] = money_columns("value_base")
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    # The default is for rows that are older than this column.
    order_ids: Mapped[list[UUID]] = references("order", server_default="{}")
    description: Mapped[str | None] = mapped_column(Text)
    activated_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    terminated_at: Mapped[datetime | None]
    termination_reason: Mapped[str | None] = mapped_column(String(200))

    search_text: Mapped[str] = search_column("name", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *name_indexes("sales_contract", "name"),
        CheckConstraint("customer_id is not null", name="customer"),
        CheckConstraint("end_date >= start_date", name="period"),
        *owned_indexes(),
        Index(None, "name", "id"),
        *sorted_indexes("sales_contract", "start_date", "end_date", "value_amount", "value_base_amount"),
        *customer_indexes("sales_contract"),
        Index("ix_sales_contract_order_ids", "order_ids", postgresql_using="gin"),
        Index("ix_sales_contract_running", "end_date", postgresql_where=text("status = 'active'")),
        search_index(),
    )

    def activate(self, today: date, at: datetime) -> None:
        """Activate the contract."""
        self.move("activate")
        require_period(self.start_date, self.end_date, today)
        self.activated_at = at

    def end(self, at: datetime) -> None:
        """End the contract."""
        self.move("end")
        self.ended_at = at

    def terminate(self, reason: str, at: datetime) -> None:
        """Terminate the contract."""
        self.move("terminate")
        self.terminated_at, self.termination_reason = at, reason
