"""Price lists: the prices of products in one currency and for a period."""

from typing import ClassVar

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import ActiveStatus, RecordModel
from crm_contracts.types import CurrencyCode, Date, LongText, Open, ShortText


class PriceListRecord(RecordModel):
    """A price list (Dataverse: PriceLevel). Its prices are separate records. It belongs to the organisation."""

    status: Open[ActiveStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ActiveStatus] = Field(description="Detail of the state, with the same value.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Retail 2026"])
    currency: CurrencyCode = Field(description="Currency of all its prices; never changes.")
    valid_from: Date | None = Field(description="First day on which it is valid, in the organisation's time zone.")
    valid_to: Date | None = Field(description="Last day on which it is valid, in the organisation's time zone.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


PRICE_LIST = Entity(service="sales", name="price_list", collection="price-lists", record=PriceListRecord, owned=False)


class PriceListEvent(Event):
    """Something happened to a price list."""

    entity: ClassVar[Entity] = PRICE_LIST
    record: PriceListRecord


class PriceListCreated(PriceListEvent):
    """A price list was created, without prices."""

    type: ClassVar[str] = "crm.sales.price_list.created.v1"


class PriceListUpdated(PriceListEvent):
    """Fields of a price list changed. Changes of its prices have events of their own."""

    type: ClassVar[str] = "crm.sales.price_list.updated.v1"


class PriceListDeleted(PriceListEvent):
    """A price list without prices was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.price_list.deleted.v1"


class PriceListActivated(PriceListEvent):
    """An inactive price list may be used again on the days on which it is valid."""

    type: ClassVar[str] = "crm.sales.price_list.activated.v1"


class PriceListDeactivated(PriceListEvent):
    """A price list was deactivated. It takes no new references and no new prices. Documents that use it keep it and their
    prices."""

    type: ClassVar[str] = "crm.sales.price_list.deactivated.v1"
    reason: ShortText | None = Field(description="Why, at most 200 characters.")


class PriceListSnapshot(PriceListEvent):
    """The current state of a price list, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.price_list.snapshot.v1"
