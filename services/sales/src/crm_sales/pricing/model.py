"""The columns of a document with lines and totals: quotes, orders and invoices."""

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Numeric, String, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from crm_contracts.money import Money
from crm_kit.db import PercentType, money_columns


class PricedDocument:
    """Lines as JSON, in their order, and the totals that follow from them (ADR 17).

    ``product_ids`` repeats which products the lines are about, for the index that tells whether a product is in use.
    """

    money_fields: ClassVar[tuple[str, ...]] = (
        "discount_amount",
        "freight",
        "subtotal",
        "discount_total",
        "tax_total",
        "total",
    )

    currency: Mapped[str] = mapped_column(String(3))
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    lines: Mapped[list[Any]] = mapped_column(JSONB)
    product_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    discount_percent: Mapped[Decimal | None] = mapped_column(PercentType())

    @declared_attr
    @classmethod
    def price_list_id(cls) -> Mapped[UUID | None]:
        return mapped_column(ForeignKey("price_list.id"))

    @declared_attr
    @classmethod
    def discount_amount(cls) -> Mapped[Money | None]:
        return money_columns("discount_amount")

    @declared_attr
    @classmethod
    def discount_amount_base(cls) -> Mapped[Money | None]:
        return money_columns("discount_amount_base")

    @declared_attr
    @classmethod
    def freight(cls) -> Mapped[Money | None]:
        return money_columns("freight")

    @declared_attr
    @classmethod
    def freight_base(cls) -> Mapped[Money | None]:
        return money_columns("freight_base")

    @declared_attr
    @classmethod
    def subtotal(cls) -> Mapped[Money]:
        return money_columns("subtotal")

    @declared_attr
    @classmethod
    def subtotal_base(cls) -> Mapped[Money]:
        return money_columns("subtotal_base")

    @declared_attr
    @classmethod
    def discount_total(cls) -> Mapped[Money]:
        return money_columns("discount_total")

    @declared_attr
    @classmethod
    def discount_total_base(cls) -> Mapped[Money]:
        return money_columns("discount_total_base")

    @declared_attr
    @classmethod
    def tax_total(cls) -> Mapped[Money]:
        return money_columns("tax_total")

    @declared_attr
    @classmethod
    def tax_total_base(cls) -> Mapped[Money]:
        return money_columns("tax_total_base")

    @declared_attr
    @classmethod
    def total(cls) -> Mapped[Money]:
        return money_columns("total")

    @declared_attr
    @classmethod
    def total_base(cls) -> Mapped[Money]:
        return money_columns("total_base")
