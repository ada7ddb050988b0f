"""Lines as clients write them."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.pricing import MAX_LINES
from crm_contracts.types import Flag, Maybe, NonNegativeMoney, Quantity, ShortText, TaxPercent
from crm_contracts.unit_price import UnitPrice, chosen


class LineInput(BaseModel):
    """One line: so much of a product, or of something written in.

    What was read may be sent back as it is: results of the calculation are ignored, and so is a price or a tax of which
    `price_overridden` or `tax_overridden` says that nobody gave it.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Delivery van",
                    "quantity": "40",
                    "unit_price": {"amount": "22500.00", "currency": "EUR"},
                    "tax_percent": 19,
                }
            ]
        },
    )

    id: UUID | None = Field(
        None, description="A line of this document that shall stay the same line; none for a new one."
    )
    product_id: UUID | None = Field(
        None, description="Product sold: active and valid today, unless the line has it already."
    )
    name: Maybe[ShortText] = Field(
        None, description="What is written in; ignored for a product, which has its own name."
    )
    unit: Maybe[ShortText] = Field(
        None, description="What the quantity of something written in counts; ignored for a product, which has its own."
    )
    quantity: Quantity = Field(description="How much, above zero; with no more decimals than the product allows.")
    unit_price: UnitPrice | None = Field(
        None,
        description="Price of one unit, with up to four more decimals than the currency; the price list's unless given. A given "
        "one is kept, and earns no volume discount.",
    )
    exact_unit_price: UnitPrice | None = Field(
        None,
        description="The price as it was read. It counts if it rounds to `unit_price`, or if that is left out. A line that has "
        "an exact price keeps it if `unit_price` comes back as it was read without this member; null drops it.",
    )
    price_overridden: Flag | None = Field(
        None,
        description="`false`: the price list decides, whatever `unit_price` says; `true`: `unit_price` is required.",
    )
    manual_discount: NonNegativeMoney | None = Field(None, description="Discount on the whole line; none unless given.")
    tax_percent: TaxPercent | None = Field(
        None, description="Tax in percent of the net amount, 0 to 100; the product's unless given, else 0."
    )
    tax_overridden: Flag | None = Field(
        None,
        description="`false`: the product decides, whatever `tax_percent` says; `true`: `tax_percent` is required.",
    )
    volume_discount: Any = Field(
        None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )
    exact_volume_discount: Any = Field(
        None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )
    net: Any = Field(None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True})
    tax: Any = Field(None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True})

    @property
    def given_price(self) -> bool:
        """Whether a person says what a unit costs."""
        return self.price is not None if self.price_overridden is None else self.price_overridden

    @property
    def price(self) -> UnitPrice | None:
        """The price of one unit, exactly."""
        return chosen(self.unit_price, self.exact_unit_price)

    @property
    def given_tax(self) -> bool:
        """Whether a person says how much tax there is."""
        return self.tax_percent is not None if self.tax_overridden is None else self.tax_overridden


LineInputs = Annotated[Sequence[LineInput], Field(max_length=MAX_LINES)]
