"""What clients send about products and what they get."""

from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.choices import ProductStructure, ProductType
from crm_contracts.sales.product import ProductRecord
from crm_contracts.types import Date, Decimals, LongText, Maybe, ShortText, TaxPercent
from crm_contracts.unit_price import UnitPrice
from crm_kit.records.patch import Patch, optional


class ProductFields(BaseModel):
    """The fields of a product that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    parent_id: UUID | None = Field(None, description="Family it belongs to; never in a circle.")
    type: ProductType = Field(ProductType.GOOD, description="Kind of thing; of a family, what its products mostly are.")
    unit: Maybe[ShortText] = Field(None, description="What a quantity counts, such as `piece` or `month`.")
    decimals: Decimals = Field(0, description="Decimals that a quantity may have, 0 to 5.")
    list_price: UnitPrice | None = Field(
        None,
        description="What one unit costs without a price list, with up to four more decimals than the currency; not for a "
        "family.",
    )
    exact_list_price: UnitPrice | None = Field(
        None,
        description="The price as it was read. It counts if it rounds to `list_price`, or if that is left out. A product that "
        "has an exact price keeps it if `list_price` comes back as it was read without this member; null drops it.",
    )
    standard_cost: UnitPrice | None = Field(
        None,
        description="What one unit costs us, in the currency of `list_price`, with as many decimals; not for a family.",
    )
    exact_standard_cost: UnitPrice | None = Field(
        None, description="The cost as it was read. It counts as `exact_list_price` does."
    )
    tax_percent: TaxPercent = Field(Decimal(0), description="Tax on its price in percent, 0 to 100.")
    valid_from: Date | None = Field(None, description="First day it may be sold, YYYY-MM-DD.")
    valid_to: Date | None = Field(None, description="Last day it may be sold, YYYY-MM-DD; not before the first.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class ProductCreate(ProductFields):
    """A new product or family, as a draft."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Gold card",
                    "type": "subscription",
                    "unit": "month",
                    "list_price": {"amount": "12.50", "currency": "EUR"},
                    "tax_percent": 19,
                }
            ]
        }
    )

    name: ShortText = Field(description="Name, 1 to 200 characters.")
    number: Maybe[ShortText] = Field(
        None, description="Your own product number, unique; drawn (PRO-00042) without one."
    )
    structure: ProductStructure = Field(
        ProductStructure.PRODUCT,
        description="`product` is sold; `family` groups products and families. It cannot be changed later.",
    )


class ProductUpdate(Patch, ProductFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"list_price": {"amount": "13.00", "currency": "EUR"}, "decimals": 1}]}
    )

    name: ShortText = optional("Name, 1 to 200 characters.")
    number: ShortText = optional("Your own product number, unique.")


class ProductRead(ProductRecord):
    """A product as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
