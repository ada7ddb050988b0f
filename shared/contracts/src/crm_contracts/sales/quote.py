"""Quotes: offers to customers, with prices and a last day."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import Owner
from crm_contracts.types import (
    Address,
    Count,
    Date,
    LongText,
    NonNegativeMoney,
    Open,
    Personal,
    ShortText,
    UtcDatetime,
)

from .choices import PaymentTerms, QuoteStatus, QuoteStatusReason
from .opportunity import CustomerRef
from .payment_conditions import PaymentConditions
from .pricing import Lines, PricedRecord


class QuoteRecord(PricedRecord):
    """A revision of an offer. Revisions share their number. At most one of them is a draft, active or won."""

    number: str = Field(description="Number for use by people; all revisions share it.", examples=["QUO-00042"])
    revision: Count = Field(description="Revision under this number, from 1; read-only.", examples=[1])
    status: Open[QuoteStatus] = Field(description="State; changes only through commands, and by time.")
    status_reason: Open[QuoteStatusReason] = Field(description="Detail of the state.")
    name: ShortText = Field(description="Name of the quote, 1 to 200 characters.", examples=["Fleet of 40 cars"])
    opportunity_id: UUID | None = Field(description="Deal that the quote belongs to.")
    customer: CustomerRef | None = Field(
        description="Account or contact that the offer is made to; may be missing while winning the deal will make it."
    )
    campaign_id: UUID | None = Field(description="Campaign that brought it: the deal's unless given.")
    effective_from: Date | None = Field(description="First day of the offer, in the organisation's time zone.")
    effective_to: Date | None = Field(
        description="Last day of the offer, in the organisation's time zone; an active quote expires after it."
    )
    bill_to: Personal[Address | None] = Field(description="Address for the invoice: the customer's unless given.")
    ship_to: Personal[Address | None] = Field(description="Address for the delivery: the customer's unless given.")
    payment_terms: Open[PaymentTerms] | None = Field(description="When an invoice is due, counted from its issue.")
    payment_conditions: PaymentConditions | None = Field(
        default=None,
        description="When an invoice is due as days, end of month and discount; null where `payment_terms` says it.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    lines: Lines = Field(description="Lines of the quote, in order; at most 500.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    closed_at: UtcDatetime | None = Field(
        description="When it was won, lost, canceled, revised or expired; null before; read-only."
    )
    order_id: UUID | None = Field(description="Order that was created from it; read-only.")


QUOTE = Entity(service="sales", name="quote", collection="quotes", record=QuoteRecord, owned=True)


class QuoteEvent(Event):
    """Something happened to a quote."""

    entity: ClassVar[Entity] = QUOTE
    record: QuoteRecord


class QuoteCreated(QuoteEvent):
    """A quote was drafted: by hand, from a deal, or as the next revision of another."""

    type: ClassVar[str] = "crm.sales.quote.created.v1"


class QuoteUpdated(QuoteEvent):
    """Fields, lines or prices of a drafted quote changed, or a quote got the customer of its deal or the survivor of a merge."""

    type: ClassVar[str] = "crm.sales.quote.updated.v1"


class QuoteDeleted(QuoteEvent):
    """A drafted quote was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.quote.deleted.v1"


class QuoteAssigned(QuoteEvent):
    """A quote was given to another owner."""

    type: ClassVar[str] = "crm.sales.quote.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class QuoteActivated(QuoteEvent):
    """A quote was activated. The customer can accept it, and its prices no longer change (Dataverse: active quote)."""

    type: ClassVar[str] = "crm.sales.quote.activated.v1"
    timeline = ("total",)
    headline = "total"
    total: NonNegativeMoney = Field(description="Total that the customer should pay.")
    total_base: Money = Field(description="The same in base currency.")


class QuoteRevised(QuoteEvent):
    """A quote was replaced by its next revision, a draft under the same number (Dataverse: ReviseQuote)."""

    type: ClassVar[str] = "crm.sales.quote.revised.v1"
    timeline = ("next_quote_id", "next_revision")
    next_quote_id: UUID = Field(description="Id of the next revision.")
    next_revision: Count = Field(description="Its revision.")


class QuoteWon(QuoteEvent):
    """The customer accepted a quote (Dataverse: WinQuote)."""

    type: ClassVar[str] = "crm.sales.quote.won.v1"
    timeline = ("total", "won_at")
    headline = "total"
    total: NonNegativeMoney = Field(description="Total that the customer agreed to pay.")
    total_base: Money = Field(description="The same in base currency.")
    won_at: UtcDatetime = Field(description="When it was accepted.")


class QuoteLost(QuoteEvent):
    """The customer declined a quote (Dataverse: CloseQuote)."""

    type: ClassVar[str] = "crm.sales.quote.lost.v1"
    timeline = ("lost_at",)
    lost_at: UtcDatetime = Field(description="When it was declined.")


class QuoteCanceled(QuoteEvent):
    """A drafted or active quote was withdrawn."""

    type: ClassVar[str] = "crm.sales.quote.canceled.v1"
    timeline = ("canceled_at",)
    canceled_at: UtcDatetime = Field(description="When it was withdrawn.")


class QuoteReopened(QuoteEvent):
    """A quote that was closed with its deal was taken up again with it. Its status is the one it had before."""

    type: ClassVar[str] = "crm.sales.quote.reopened.v1"


class QuoteExpired(QuoteEvent):
    """The last day of an active quote has passed in the organisation's time zone."""

    type: ClassVar[str] = "crm.sales.quote.expired.v1"
    timeline = ("expired_at",)
    expired_at: UtcDatetime = Field(description="When the expiry was detected.")


class QuoteSnapshot(QuoteEvent):
    """The current state of a quote, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.quote.snapshot.v1"
