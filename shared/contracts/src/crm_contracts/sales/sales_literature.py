"""Sales literature: documents about products and competitors."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import ActiveStatus, RecordModel
from crm_contracts.types import Date, LongText, Open, ShortText, Url

from .choices import LiteratureType


class SalesLiteratureRecord(RecordModel):
    """A document of the sales library: its text, or a link to it."""

    status: Open[ActiveStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ActiveStatus] = Field(description="Detail of the state, with the same value.")
    title: ShortText = Field(description="Title, 1 to 200 characters.", examples=["Gold card at a glance"])
    type: Open[LiteratureType] = Field(description="Kind of document (Dataverse: LiteratureTypeCode).")
    body: LongText | None = Field(description="The text, at most 32,000 characters; null if `link` leads to it.")
    link: Url | None = Field(description="Address of the document, http or https; null if there is only `body`.")
    product_ids: list[UUID] = Field(description="Products it is about, each once, at most 50.")
    competitor_ids: list[UUID] = Field(description="Competitors it is about, each once, at most 50.")
    expires_on: Date | None = Field(
        description="Last day on which it is valid, in the organisation's time zone; null if there is none. "
        "The system does nothing on this day."
    )
    keywords: ShortText | None = Field(description="Keywords for the search, at most 200 characters.")


SALES_LITERATURE = Entity(
    service="sales",
    name="sales_literature",
    collection="sales-literature",
    record=SalesLiteratureRecord,
    owned=False,
    named="title",
)


class SalesLiteratureEvent(Event):
    """Something happened to a piece of sales literature."""

    entity: ClassVar[Entity] = SALES_LITERATURE
    record: SalesLiteratureRecord


class SalesLiteratureCreated(SalesLiteratureEvent):
    """A document was added to the library."""

    type: ClassVar[str] = "crm.sales.sales_literature.created.v1"


class SalesLiteratureUpdated(SalesLiteratureEvent):
    """A document of the library changed."""

    type: ClassVar[str] = "crm.sales.sales_literature.updated.v1"


class SalesLiteratureDeleted(SalesLiteratureEvent):
    """A document was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.sales_literature.deleted.v1"


class SalesLiteratureActivated(SalesLiteratureEvent):
    """An inactive document was activated again."""

    type: ClassVar[str] = "crm.sales.sales_literature.activated.v1"


class SalesLiteratureDeactivated(SalesLiteratureEvent):
    """A document was deactivated. It stays readable, but should no longer be shown to customers."""

    type: ClassVar[str] = "crm.sales.sales_literature.deactivated.v1"
    reason: ShortText | None = Field(description="Why, at most 200 characters.")


class SalesLiteratureSnapshot(SalesLiteratureEvent):
    """The current state of a piece, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.sales_literature.snapshot.v1"
