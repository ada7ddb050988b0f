"""The table of products."""

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Numeric, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.choices import ProductStructure, ProductType
from crm_contracts.sales.product import ProductRecord
from crm_contracts.unit_price import UnitPrice
from crm_kit.errors import InvalidValue
from crm_kit.store.columns import (
    PercentType,
    money_columns,
    name_indexes,
    record_indexes,
    reference_indexes,
    search_index,
    text_enum,
)
from crm_kit.store.record import Record, Stateful
from crm_kit.store.refers import reference
from crm_kit.store.searching import search_column, search_rule
from crm_sales.db import Base
from crm_sales.pricing.exact import price_of
from crm_sales.product.domain import LIFECYCLE, why_not_sold


class Product(Record, Stateful, Base):
    """A product for sale, or a family of products."""

    __tablename__ = "product"
    numbered = "PRO"
    record_model: ClassVar[type[BaseModel]] = ProductRecord
    lifecycle = LIFECYCLE
    money_fields: ClassVar[tuple[str, ...]] = ("list_price", "standard_cost")

    number: Mapped[str] = mapped_column(String(200), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    structure: Mapped[ProductStructure] = mapped_column(text_enum(ProductStructure))
    parent_id: Mapped[UUID | None] = reference("product")
    type: Mapped[ProductType] = mapped_column(text_enum(ProductType))
    unit: Mapped[str | None] = mapped_column(String(200))
    decimals: Mapped[int]
    list_price: Mapped[Money | None] = money_columns("list_price")
    exact_list_price: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    list_price_base: Mapped[Money | None] = money_columns("list_price_base")
    standard_cost: Mapped[Money | None] = money_columns("standard_cost")
    exact_standard_cost: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    standard_cost_base: Mapped[Money | None] = money_columns("standard_cost_base")
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    tax_percent: Mapped[Decimal] = mapped_column(PercentType(3))
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    description: Mapped[str | None] = mapped_column(Text)

    search_text: Mapped[str] = search_column("name", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *record_indexes(),
        *name_indexes("product", "name", "number"),
        Index(None, "name", "id"),
        *reference_indexes("product", "parent_id"),
        search_index(),
    )

    @property
    def price(self) -> Money | UnitPrice | None:
        """The exact list price of one unit; None without one."""
        return price_of(self, "list_price")

    def require_sold(self, day: date, pointer: str) -> None:
        """Raise 422 ``inactive-reference`` with the pointer if the product cannot be added to a line on this day."""
        why = why_not_sold(self.structure, self.status, self.valid_from, self.valid_to, day)
        if why is not None:
            raise InvalidValue(pointer, "inactive-reference", why)
