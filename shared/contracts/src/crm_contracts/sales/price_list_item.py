"""Price list items: the price of a product in a price list, and its volume discounts."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event, called
from crm_contracts.money import Money
from crm_contracts.records import RecordModel
from crm_contracts.types import CurrencyCode, NonNegativeMoney, Open, Percent, PricePercent, Quantity, Rate, Shape
from crm_contracts.unit_price import UnitPrice

from .choices import PricingMethod

MAX_BREAKS = 50
"""The most volume breaks of a price."""


class VolumeBreak(Shape):
    """A discount on each unit from a quantity on, as a percentage or as an amount. The other one is null.

    The highest break that the quantity of a line reaches applies to all units of the line.
    """

    min_quantity: Quantity = Field(description="Least quantity of a line that earns the discount.", examples=["10"])
    discount_percent: Percent | None = Field(
        default=None, description="Discount on each unit in percent of its price, 0 to 100.", examples=[5]
    )
    discount_amount: NonNegativeMoney | None = Field(
        default=None, description="Discount on each unit, in the price list's currency; never more than the price."
    )


VolumeBreaks = Annotated[list[VolumeBreak], Field(max_length=MAX_BREAKS)]


class PriceListItemRecord(RecordModel):
    """The price of one product in one price list (Dataverse: ProductPriceLevel). It belongs to the organisation."""

    price_list_id: UUID = Field(description="Price list; never changes.")
    product_id: UUID = Field(description="Product, at most once in a price list; never changes.")
    currency: CurrencyCode = Field(description="Currency of the price list; read-only.")
    pricing_method: Open[PricingMethod] = Field(description="Whether `amount` or `percent` defines the price.")
    amount: NonNegativeMoney | None = Field(
        description="Price of one unit, in the price list's currency, rounded half up to its decimals; null when "
        "`pricing_method` is `percent_of_list`."
    )
    exact_amount: UnitPrice | None = Field(
        default=None,
        description="The same exactly, with up to four more decimals; null where `amount` is exact.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    amount_base: Money | None = Field(description="`amount` in base currency at `exchange_rate`; read-only.")
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of the price list's, pinned when the first amount was set; null "
        "without one."
    )
    percent: PricePercent | None = Field(
        description="Price of one unit in percent of the product's `list_price`, 0 to 999.99, rounded half up to the "
        "currency's decimals; null when `pricing_method` is `amount`."
    )
    volume_breaks: VolumeBreaks = Field(description="Discounts in volume, by rising `min_quantity`; at most 50.")


PRICE_LIST_ITEM = Entity(
    service="sales",
    name="price_list_item",
    collection="price-list-items",
    record=PriceListItemRecord,
    owned=False,
    named=called("Price of a product"),
)


class PriceListItemEvent(Event):
    """Something happened to a price in a price list. Existing documents keep their prices."""

    entity: ClassVar[Entity] = PRICE_LIST_ITEM
    record: PriceListItemRecord


class PriceListItemCreated(PriceListItemEvent):
    """A product got a price in a price list."""

    type: ClassVar[str] = "crm.sales.price_list_item.created.v1"


class PriceListItemUpdated(PriceListItemEvent):
    """A price changed. Existing lines keep theirs."""

    type: ClassVar[str] = "crm.sales.price_list_item.updated.v1"


class PriceListItemDeleted(PriceListItemEvent):
    """A price was deleted from a price list; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.price_list_item.deleted.v1"


class PriceListItemSnapshot(PriceListItemEvent):
    """The current state of a price, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.price_list_item.snapshot.v1"
