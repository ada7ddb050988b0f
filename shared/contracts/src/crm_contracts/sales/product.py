"""Products and product families."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import RecordModel
from crm_contracts.types import Date, Decimals, LongText, NonNegativeMoney, Open, Rate, ShortText, TaxPercent
from crm_contracts.unit_price import UnitPrice

from .choices import ProductStatus, ProductStructure, ProductType


class ProductRecord(RecordModel):
    """A product or a family of products (Dataverse: Product). It belongs to the organisation and has no owner."""

    number: ShortText = Field(
        description="Your own product number, or one that was drawn; unique.", examples=["PRO-00042"]
    )
    status: Open[ProductStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ProductStatus] = Field(description="Detail of the state, with the same value.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Gold card"])
    structure: Open[ProductStructure] = Field(
        description="`product` is sold; `family` groups products and families, and has no price. Never changes."
    )
    parent_id: UUID | None = Field(description="Family that it belongs to. Cycles are refused.")
    type: Open[ProductType] = Field(description="Type of the product; for a family, the type of most of its products.")
    unit: ShortText | None = Field(description="Unit of quantities.", examples=["piece"])
    decimals: Decimals = Field(description="Decimals that a quantity may have, 0 to 5.")
    list_price: NonNegativeMoney | None = Field(
        description="Price of one unit without a price list, rounded half up to the currency's decimals. Price lists may use a "
        "percentage of it."
    )
    exact_list_price: UnitPrice | None = Field(
        default=None,
        description="The same exactly, with up to four more decimals; null where `list_price` is exact.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    list_price_base: Money | None = Field(description="`list_price` in base currency at `exchange_rate`; read-only.")
    standard_cost: NonNegativeMoney | None = Field(
        description="Our cost of one unit, in the currency of `list_price`, rounded half up to its decimals."
    )
    exact_standard_cost: UnitPrice | None = Field(
        default=None,
        description="The same exactly, with up to four more decimals; null where `standard_cost` is exact.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    standard_cost_base: Money | None = Field(
        description="`standard_cost` in base currency at `exchange_rate`; read-only."
    )
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of the record's currency, pinned when the first amount was set; "
        "null without one."
    )
    tax_percent: TaxPercent = Field(description="Tax on its price in percent, 0 to 100.", examples=[19])
    valid_from: Date | None = Field(description="First day it may be sold, in the organisation's time zone.")
    valid_to: Date | None = Field(description="Last day it may be sold, in the organisation's time zone.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


PRODUCT = Entity(service="sales", name="product", collection="products", record=ProductRecord, owned=False)


class ProductEvent(Event):
    """Something happened to a product or a family."""

    entity: ClassVar[Entity] = PRODUCT
    record: ProductRecord


class ProductCreated(ProductEvent):
    """A product or family was drafted. It cannot be sold yet."""

    type: ClassVar[str] = "crm.sales.product.created.v1"


class ProductUpdated(ProductEvent):
    """Fields of a draft changed."""

    type: ClassVar[str] = "crm.sales.product.updated.v1"


class ProductDeleted(ProductEvent):
    """A draft was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.product.deleted.v1"


class ProductActivated(ProductEvent):
    """A product was activated. It may be sold on the days on which it is valid. Its fields cannot change until it is revised."""

    type: ClassVar[str] = "crm.sales.product.activated.v1"


class ProductRevised(ProductEvent):
    """An active or retired product became a draft again, so that it can be changed. No new line can use it until it is active."""

    type: ClassVar[str] = "crm.sales.product.revised.v1"


class ProductRetired(ProductEvent):
    """A product was retired. No new line can use it. Lines that use it keep it."""

    type: ClassVar[str] = "crm.sales.product.retired.v1"


class ProductSnapshot(ProductEvent):
    """The current state of a product, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.product.snapshot.v1"
