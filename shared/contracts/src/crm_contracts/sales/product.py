"""Products, and the families they belong to."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import RecordModel
from crm_contracts.types import Date, Decimals, LongText, NonNegativeMoney, Open, Percent, Rate, ShortText

from .choices import ProductStatus, ProductStructure, ProductType


class ProductRecord(RecordModel):
    """What is sold, or a family of such things (Dataverse: Product). It belongs to the organisation, without an owner."""

    number: ShortText = Field(
        description="Your own product number, or one that was drawn; unique.", examples=["PRO-00042"]
    )
    status: Open[ProductStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ProductStatus] = Field(description="Detail of the state; the same word.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Gold card"])
    structure: Open[ProductStructure] = Field(
        description="`product` is sold; `family` groups products and families, and has no price. Never changes."
    )
    parent_id: UUID | None = Field(description="Family it belongs to; never in a circle.")
    type: Open[ProductType] = Field(description="Kind of thing; of a family, what its products mostly are.")
    unit: ShortText | None = Field(description="What a quantity counts.", examples=["piece"])
    decimals: Decimals = Field(description="Decimals that a quantity may have, 0 to 5.")
    list_price: NonNegativeMoney | None = Field(
        description="What one unit costs without a price list; price lists may say a percentage of it."
    )
    list_price_base: Money | None = Field(description="`list_price` in base currency at `exchange_rate`; read-only.")
    standard_cost: NonNegativeMoney | None = Field(
        description="What one unit costs us, in the currency of `list_price`."
    )
    standard_cost_base: Money | None = Field(
        description="`standard_cost` in base currency at `exchange_rate`; read-only."
    )
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of the record's currency, pinned when the first amount was set; "
        "null without one."
    )
    tax_percent: Percent = Field(description="Tax on its price in percent, 0 to 100.", examples=[19])
    valid_from: Date | None = Field(description="First day it may be sold, in the organisation's time zone.")
    valid_to: Date | None = Field(description="Last day it may be sold, in the organisation's time zone.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


PRODUCT = Entity(service="sales", name="product", collection="products", record=ProductRecord, owned=False)


class ProductEvent(Event):
    """Something happened to a product or a family."""

    entity: ClassVar[Entity] = PRODUCT
    record: ProductRecord


class ProductCreated(ProductEvent):
    """A product or family was drafted; nothing is sold of it yet."""

    type: ClassVar[str] = "crm.sales.product.created.v1"


class ProductUpdated(ProductEvent):
    """Fields of a draft changed."""

    type: ClassVar[str] = "crm.sales.product.updated.v1"


class ProductDeleted(ProductEvent):
    """A draft was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.product.deleted.v1"


class ProductActivated(ProductEvent):
    """A product may be sold from now on, between its days; its fields are fixed until it is revised."""

    type: ClassVar[str] = "crm.sales.product.activated.v1"


class ProductRevised(ProductEvent):
    """An active or retired product became a draft again, to be changed; until it is active it enters no new line."""

    type: ClassVar[str] = "crm.sales.product.revised.v1"


class ProductRetired(ProductEvent):
    """A product is sold no more: it enters no new line; lines that have it keep it."""

    type: ClassVar[str] = "crm.sales.product.retired.v1"


class ProductSnapshot(ProductEvent):
    """The current state of a product, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.product.snapshot.v1"
