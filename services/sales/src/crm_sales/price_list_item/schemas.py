"""What clients send about prices of products and what they get."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.choices import PricingMethod
from crm_contracts.sales.price_list_item import VolumeBreaks
from crm_contracts.types import PricePercent
from crm_contracts.unit_price import UnitPrice
from crm_kit.records.patch import Patch


class PriceListItemFields(BaseModel):
    """The fields of a price that clients write and change."""

    model_config = ConfigDict(extra="forbid")

    pricing_method: PricingMethod = Field(
        PricingMethod.AMOUNT, description="Whether `amount` or `percent` says the price; the other is null."
    )
    amount: UnitPrice | None = Field(
        None,
        description="Price of one unit, in the price list's currency, with up to four more decimals than that has.",
    )
    exact_amount: UnitPrice | None = Field(
        None,
        description="The price as it was read. It counts if it rounds to `amount`, or if that is left out. An item that has an "
        "exact price keeps it if `amount` comes back as it was read without this member; null drops it.",
    )
    percent: PricePercent | None = Field(
        None,
        description="Price of one unit in percent of the product's `list_price`, 0 to 999.99: 110 is a tenth more.",
    )
    volume_breaks: VolumeBreaks = Field(
        [], description="Discounts in volume, by rising `min_quantity`, at most 50; a change sends all of them."
    )


class PriceListItemCreate(PriceListItemFields):
    """A new price."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "price_list_id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f",
                    "product_id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e70",
                    "amount": {"amount": "12.50", "currency": "EUR"},
                    "volume_breaks": [
                        {"min_quantity": "10", "discount_percent": 5},
                        {"min_quantity": "100", "discount_percent": 12.5},
                    ],
                }
            ]
        }
    )

    price_list_id: UUID = Field(description="An active price list.")
    product_id: UUID = Field(description="A product that is not retired and no family; at most once in a price list.")


class PriceListItemUpdate(Patch, PriceListItemFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"pricing_method": "percent_of_list", "percent": 95, "amount": None}]}
    )
