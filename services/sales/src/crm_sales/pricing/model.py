"""The columns of documents with lines and totals: quotes, orders and invoices."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Numeric, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.choices import HeaderDiscount, TaxRounding
from crm_contracts.sales.pricing import PricedLine
from crm_kit.store.columns import PercentType, money_columns, text_enum
from crm_kit.store.refers import reference, references
from crm_sales.pricing.domain import LinePrice, Totals, totals
from crm_sales.pricing.in_base import parts_in_base
from crm_sales.pricing.tax import Taxed, TaxRules, taxes


def products_of(lines: Iterable[PricedLine]) -> list[UUID]:
    """Return the products of the lines."""
    return sorted({line.product_id for line in lines if line.product_id is not None})


def sum_of(lines: Sequence[PricedLine]) -> Money | None:
    """Return the sum of the lines without tax and discount, None without lines.

    422 ``too-large`` past 15 integer digits.
    """
    if not lines:
        return None
    prices = (LinePrice(line.net, line.tax) for line in lines)
    return totals(lines[0].net.currency, prices, discount_percent=None, discount_amount=None, freight=None).subtotal


class PricedDocument:
    """Lines as JSON in their order, and the totals computed from them (ADR 17).

    ``product_ids`` repeats the products of the lines for the index that answers whether a product is in use.
    """

    money_fields: ClassVar[tuple[str, ...]] = (
        "discount_amount",
        "freight",
        "subtotal",
        "discount_total",
        "tax_total",
        "total",
    )

    line_model: ClassVar[type[PricedLine]] = PricedLine

    currency: Mapped[str] = mapped_column(String(3))
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    lines: Mapped[list[Any]] = mapped_column(JSONB)
    product_ids: Mapped[list[UUID]] = references("product")
    discount_percent: Mapped[Decimal | None] = mapped_column(PercentType())

    # The defaults are for the previous release, which does not know these two columns.
    @declared_attr
    @classmethod
    def tax_rounding(cls) -> Mapped[TaxRounding]:
        return mapped_column(text_enum(TaxRounding), server_default=TaxRounding.LINE.value)

    @declared_attr
    @classmethod
    def header_discount(cls) -> Mapped[HeaderDiscount]:
        return mapped_column(text_enum(HeaderDiscount), server_default=HeaderDiscount.AFTER_TAX.value)

    @declared_attr
    @classmethod
    def price_list_id(cls) -> Mapped[UUID | None]:
        return reference("price_list")

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

    @property
    def priced_lines(self) -> list[PricedLine]:
        """The lines with their current prices."""
        return [self.line_model.stored(line) for line in self.lines]

    def keep_lines(self, lines: Sequence[PricedLine]) -> None:
        """Set the lines, and compute their taxes and the totals from them and from the header.

        422 ``currency-mismatch`` for amounts of the header in another currency, ``too-large`` past 15 integer digits.
        """
        found = self._totals(lines)
        if lines and not self.tax_rules.each_line_alone:
            taxed = [Taxed(line.net, line.tax_percent) for line in lines]
            found_taxes = taxes(taxed, found.discount_total, self.tax_rules)
            lines = [line.model_copy(update={"tax": tax}) for line, tax in zip(lines, found_taxes, strict=True)]
            found = self._totals(lines)
        self.lines = [line.model_dump(mode="json") for line in lines]
        self.product_ids = products_of(lines)
        self.subtotal, self.discount_total = found.subtotal, found.discount_total
        self.tax_total, self.total = found.tax_total, found.total

    @property
    def tax_rules(self) -> TaxRules:
        """How the document is taxed, for good."""
        return TaxRules(self.tax_rounding, self.header_discount)

    def tax_by(self, rules: TaxRules) -> None:
        """Set how a new document is taxed."""
        self.tax_rounding, self.header_discount = TaxRounding(rules.rounding), HeaderDiscount(rules.discount)

    def _totals(self, lines: Sequence[PricedLine]) -> Totals:
        return totals(
            self.currency,
            (LinePrice(line.net, line.tax) for line in lines),
            discount_percent=self.discount_percent,
            discount_amount=self.discount_amount,
            freight=self.freight,
        )

    def kept_in_base(self) -> dict[str, Money | None]:
        """Return the amounts in base currency that do not follow from the rate."""
        return {}

    def add_up_in_base(self) -> None:
        """Make the parts of the total add up in base currency. Call this after each amount got its own."""
        rate = self.exchange_rate
        if rate is None or rate == 1:
            return
        parts = {"subtotal": self.subtotal, "discount_total": -self.discount_total, "tax_total": self.tax_total}
        if self.freight is not None:
            parts["freight"] = self.freight
        for field, amount in zip(parts, parts_in_base(list(parts.values()), rate, self.total_base), strict=True):
            setattr(self, f"{field}_base", -amount if field == "discount_total" else amount)
        if self.discount_amount == self.discount_total:
            self.discount_amount_base = self.discount_total_base
