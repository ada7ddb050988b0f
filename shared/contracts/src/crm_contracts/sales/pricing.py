"""The priced lines and totals that opportunities, quotes, orders and invoices share."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from crm_contracts.money import Money
from crm_contracts.records import OwnedRecord
from crm_contracts.types import (
    CurrencyCode,
    NonNegativeMoney,
    Open,
    Percent,
    Quantity,
    Rate,
    Shape,
    ShortText,
    TaxPercent,
)
from crm_contracts.unit_price import UnitPrice

from .choices import HeaderDiscount, TaxRounding

MAX_LINES = 500
"""The most lines of a document."""

_BASE = "in base currency at `exchange_rate`; read-only."


class PricedLine(Shape):
    """A line: a quantity of a product, or of an item without a product, at a price.

    `net` = (`unit_price` - `volume_discount`) x `quantity`, rounded half up to the currency's decimals, - `manual_discount`;
    `tax` = `net` x `tax_percent` / 100, rounded likewise, unless `tax_rounding` or `header_discount` of the document says
    otherwise.
    """

    id: UUID = Field(description="Id of the line. It stays the same from quote to order to invoice.")
    product_id: UUID | None = Field(description="Product of the line; null for an item without a product.")
    name: ShortText = Field(description="Name of the product as of writing, or the name that was given.")
    unit: ShortText | None = Field(description="Unit of the quantity, such as `piece` or `month`.")
    quantity: Quantity = Field(description="Quantity, above zero.")
    unit_price: NonNegativeMoney = Field(
        description="Price of one unit before discounts, rounded half up to the currency's decimals."
    )
    exact_unit_price: UnitPrice | None = Field(
        default=None,
        description="The same exactly, with which the line is computed; null where `unit_price` is exact.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    price_overridden: bool = Field(description="Whether a person gave the price instead of the price list.")
    volume_discount: NonNegativeMoney = Field(
        description="Discount on each unit that the quantity earns, rounded half up to the currency's decimals."
    )
    exact_volume_discount: UnitPrice | None = Field(
        default=None,
        description="The same exactly, with which the line is computed; null where `volume_discount` is exact.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    manual_discount: NonNegativeMoney = Field(description="Discount on the whole line that a person gave.")
    tax_percent: TaxPercent = Field(description="Tax in percent of `net`, 0 to 100: the product's unless given.")
    tax_overridden: bool = Field(description="Whether a person gave the tax instead of the product.")
    net: NonNegativeMoney = Field(description="Price of the line without tax.")
    tax: NonNegativeMoney = Field(description="Tax on the line.")

    @property
    def price(self) -> Money | UnitPrice:
        """The exact price of one unit."""
        return self.exact_unit_price or self.unit_price

    @property
    def discount(self) -> Money | UnitPrice:
        """The exact volume discount on one unit."""
        return self.exact_volume_discount or self.volume_discount


class PricedRecord(OwnedRecord):
    """A document with lines and totals, all in one currency.

    `subtotal` = sum of the lines' `net`; `discount_total` = `discount_percent` of the subtotal, rounded, plus
    `discount_amount`, at most the subtotal; `tax_total` = sum of the lines' `tax`; `total` = `subtotal` - `discount_total` +
    `freight` + `tax_total`. The amounts in base currency add up likewise: `total_base` is the total at `exchange_rate`,
    rounded half up, and each part is rounded down or up so that the sum holds.

    `header_discount` and `tax_rounding` say how the lines' `tax` is computed. With `before_tax`, a line's `net` less its part
    of `discount_total` is taxed: the discount is divided in proportion to `net`, and rounded down or up so that the parts add
    up to it. With `document`, the taxed amounts of all lines with the same `tax_percent` are added, their tax is rounded half
    up once, and divided over these lines in the same manner. A part is rounded up where the largest fractions were cut off,
    the first line first among equals. Freight is not taxed.
    """

    price_list_id: UUID | None = Field(description="Price list of the prices; null if a person gave all prices.")
    currency: CurrencyCode = Field(
        description="Currency of every amount of the document; the price list's if there is one."
    )
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of `currency`, pinned when the document was created."
    )
    tax_rounding: Open[TaxRounding] = Field(
        default=TaxRounding.LINE,
        description="Whether the tax is rounded in each line or once for each tax percentage: the organisation's setting when "
        "the document was created, or that of the document it was made from; read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    header_discount: Open[HeaderDiscount] = Field(
        default=HeaderDiscount.AFTER_TAX,
        description="Whether the discount on the subtotal lowers the taxed amounts or leaves the tax as it is: the "
        "organisation's setting when the document was created, or that of the document it was made from; read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    discount_percent: Percent | None = Field(description="Discount on the subtotal in percent, 0 to 100.")
    discount_amount: NonNegativeMoney | None = Field(description="Discount on the subtotal as an amount.")
    discount_amount_base: Money | None = Field(description=f"`discount_amount` {_BASE}")
    freight: NonNegativeMoney | None = Field(description="Cost of delivery, without tax.")
    freight_base: Money | None = Field(description=f"`freight` {_BASE}")
    subtotal: NonNegativeMoney = Field(description="Sum of the lines' net amounts; read-only.")
    subtotal_base: Money = Field(description=f"`subtotal` {_BASE}")
    discount_total: NonNegativeMoney = Field(description="Discount on the subtotal in all; read-only.")
    discount_total_base: Money = Field(description=f"`discount_total` {_BASE}")
    tax_total: NonNegativeMoney = Field(description="Sum of the lines' taxes; read-only.")
    tax_total_base: Money = Field(description=f"`tax_total` {_BASE}")
    total: NonNegativeMoney = Field(description="Total that the customer pays; read-only.")
    total_base: Money = Field(description=f"`total` {_BASE}")


Lines = Annotated[list[PricedLine], Field(max_length=MAX_LINES)]
