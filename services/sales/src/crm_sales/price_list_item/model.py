"""The table of prices of products."""

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Numeric, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.choices import PricingMethod
from crm_contracts.sales.price_list_item import PriceListItemRecord
from crm_contracts.unit_price import UnitPrice
from crm_kit.store.columns import PercentType, money_columns, record_indexes, text_enum
from crm_kit.store.record import Record
from crm_kit.store.refers import reference
from crm_sales.db import Base
from crm_sales.pricing.exact import price_of


class PriceListItem(Record, Base):
    """The price of a product in a price list, with volume discounts."""

    __tablename__ = "price_list_item"
    record_model: ClassVar[type[BaseModel]] = PriceListItemRecord
    called = None
    money_fields: ClassVar[tuple[str, ...]] = ("amount",)

    price_list_id: Mapped[UUID] = reference("price_list")
    product_id: Mapped[UUID] = reference("product")
    # The currency of the price list, which never changes. The copy saves a lookup.
    currency: Mapped[str] = mapped_column(String(3))
    pricing_method: Mapped[PricingMethod] = mapped_column(text_enum(PricingMethod))
    amount: Mapped[Money | None] = money_columns("amount")
    amount_base: Mapped[Money | None] = money_columns("amount_base")
    exact_amount: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    percent: Mapped[Decimal | None] = mapped_column(PercentType())
    volume_breaks: Mapped[list[Any]] = mapped_column(JSONB)

    __table_args__ = (
        UniqueConstraint("price_list_id", "product_id"),
        *record_indexes(),
        Index(None, "price_list_id", "created_at", "id"),
        Index(None, "product_id"),
    )

    @property
    def price(self) -> Money | UnitPrice | None:
        """The exact price of one unit; None if it is a percentage."""
        return price_of(self, "amount")
