"""Opportunities: deals that may be won."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.money import Money
from crm_contracts.records import OwnedRecord, Owner
from crm_contracts.types import (
    Count,
    Date,
    LongText,
    NonNegativeMoney,
    Open,
    Percent,
    Rate,
    Ref,
    Shape,
    ShortText,
    UtcDatetime,
)

from .choices import (
    CloseOutcome,
    EstimatedValueSource,
    LeadSource,
    LossReason,
    OpportunityStatus,
    OpportunityStatusReason,
    QuoteStatus,
    Rating,
)
from .pricing import Lines


class CustomerRef(Ref):
    """The customer of a deal: an account or a contact."""

    type: Literal["account", "contact"] = Field(description="`account` or `contact`.", examples=["account"])


class ClosedQuote(Shape):
    """A quote that was closed with its deal."""

    id: UUID = Field(description="Id of the quote.")
    number: ShortText = Field(description="Number of the quote.", examples=["QUO-00042"])
    status: Open[QuoteStatus] = Field(description="Status before: `draft` or `active`.")
    reopened: bool = Field(description="Whether it was taken up again with the deal. Otherwise it stays closed.")


class OpportunityClose(Shape):
    """A record of a close as won or lost. It is kept when the deal is reopened."""

    outcome: Open[CloseOutcome] = Field(description="`won` or `lost`.")
    reason: Open[OpportunityStatusReason] = Field(description="Status reason of the deal after the close.")
    actual_value: Money | None = Field(description="Value won; null for a lost deal.")
    closed_at: UtcDatetime = Field(description="When it was closed.")
    competitor_id: UUID | None = Field(description="Competitor that won the deal; null if it is not known.")
    note: LongText | None = Field(description="Free text, at most 32,000 characters.")
    by: UUID | None = Field(description="Who closed it; null for the system.")
    closed_quotes: list[ClosedQuote] = Field(
        default=[],
        description="Quotes that losing the deal closed: drafts are canceled, active ones lost.",
        json_schema_extra={"x-since": "1.1.0"},
    )


class StageVisit(Shape):
    """A stay of a deal in a stage: from entering it until the deal moved on, or was won or lost."""

    stage_id: UUID = Field(description="Id of the stage.")
    stage: ShortText = Field(description="Name of the stage when it was entered.", examples=["propose"])
    entered_at: UtcDatetime = Field(
        description="When the deal entered the stage; a reopened deal enters its stage again."
    )
    left_at: UtcDatetime | None = Field(
        description="When the deal moved on or was closed, never before `entered_at`; null while it is there."
    )


class OpportunityRecord(OwnedRecord):
    """An open, won or lost deal."""

    number: str = Field(description="Number for use by people; unique and never reused.", examples=["OPP-00042"])
    status: Open[OpportunityStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[OpportunityStatusReason] = Field(description="Detail of the state.")
    name: ShortText = Field(description="Name of the deal, 1 to 200 characters.", examples=["Fleet of 40 cars"])
    customer: CustomerRef | None = Field(description="Account or contact; may be missing until the deal is won.")
    originating_lead_id: UUID | None = Field(description="Lead that the deal came from.")
    campaign_id: UUID | None = Field(description="Campaign that brought it.")
    source: Open[LeadSource] | None = Field(description="Source of the deal.")
    rating: Open[Rating] | None = Field(description="Rating of the deal.")
    stage_id: UUID = Field(description="Sales stage; changes through `advance`.")
    stage: ShortText = Field(description="Name of the stage as of writing; read-only.", examples=["Propose"])
    stages: list[StageVisit] = Field(
        default=[],
        description="Every stay in a stage, oldest first: none is ever removed, and only the last can have no `left_at`. "
        "Time on hold counts; time between closing and reopening does not. Read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    probability: Percent = Field(
        description="Chance to win in percent, 0 to 100: the value of the stage, or "
        "one that a person gave. The latter is kept."
    )
    estimated_value: NonNegativeMoney | None = Field(description="Expected revenue, zero or more.")
    estimated_value_base: Money | None = Field(
        description="`estimated_value` in base currency at `exchange_rate`; read-only."
    )
    estimated_value_source: Open[EstimatedValueSource] = Field(
        default=EstimatedValueSource.USER,
        description="`user`: a person gives the estimated value; `lines`: it is the sum of the lines' `net`, kept up with them, "
        "and null without lines.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    price_list_id: UUID | None = Field(
        default=None,
        description="Price list that the lines' prices come from; null when all are given.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    lines: Lines = Field(
        default=[],
        description="Lines of the deal, in order; at most 500, in the currency of the deal.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    estimated_close_date: Date | None = Field(description="When it should close, in the organisation's time zone.")
    actual_value: NonNegativeMoney | None = Field(description="Value of the won deal; read-only.")
    actual_value_base: Money | None = Field(
        description="`actual_value` in base currency at `exchange_rate`; read-only."
    )
    exchange_rate: Rate | None = Field(
        description="Units of base currency per unit of the record's currency, pinned when the first amount was set; "
        "null without one."
    )
    competitor_ids: list[UUID] = Field(
        default=[],
        description="Competitors for the deal, each once, at most 50. A competitor that won it is one of them.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    opened_at: UtcDatetime | None = Field(
        default=None,
        description="When work on it began: when it was created or, of an import, as the file says; when it was last reopened; "
        "null where an earlier release made it during an upgrade. Read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    closed_at: UtcDatetime | None = Field(description="When it was won or lost; null while open; read-only.")
    closes: list[OpportunityClose] = Field(description="Close records, oldest first; read-only.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


OPPORTUNITY = Entity(
    service="sales", name="opportunity", collection="opportunities", record=OpportunityRecord, owned=True, label="Deal"
)


class StageRef(Shape):
    """A sales stage as it was at the moment of the event."""

    id: UUID = Field(description="Id of the stage.")
    name: ShortText = Field(description="Name of the stage.")
    position: Count = Field(description="Order among the stages, lowest first.")
    probability: Percent = Field(description="Default probability of the stage in percent, 0 to 100.")


class OpportunityEvent(Event):
    """Something happened to an opportunity."""

    entity: ClassVar[Entity] = OPPORTUNITY
    record: OpportunityRecord


class OpportunityCreated(OpportunityEvent):
    """A deal was opened, by hand or from a lead."""

    type: ClassVar[str] = "crm.sales.opportunity.created.v1"


class OpportunityUpdated(OpportunityEvent):
    """Fields of a deal changed."""

    type: ClassVar[str] = "crm.sales.opportunity.updated.v1"


class OpportunityDeleted(OpportunityEvent):
    """A deal was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.opportunity.deleted.v1"


class OpportunityAssigned(OpportunityEvent):
    """A deal was given to another owner."""

    type: ClassVar[str] = "crm.sales.opportunity.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class OpportunityStageChanged(OpportunityEvent):
    """A deal moved to another stage, forwards or backwards."""

    type: ClassVar[str] = "crm.sales.opportunity.stage_changed.v1"
    phrase = "moved to another stage"
    from_stage: StageRef = Field(description="Stage before.")
    to_stage: StageRef = Field(description="Stage now.")


class OpportunityHeld(OpportunityEvent):
    """A deal was put on hold."""

    type: ClassVar[str] = "crm.sales.opportunity.held.v1"
    phrase = "put on hold"


class OpportunityResumed(OpportunityEvent):
    """A deal on hold is in progress again."""

    type: ClassVar[str] = "crm.sales.opportunity.resumed.v1"


class OpportunityWon(OpportunityEvent):
    """A deal was won."""

    type: ClassVar[str] = "crm.sales.opportunity.won.v1"
    timeline = ("actual_value", "won_at")
    headline = "actual_value"
    actual_value: NonNegativeMoney = Field(description="Value of the won deal, zero or more.")
    actual_value_base: Money = Field(description="The same in base currency.")
    won_at: UtcDatetime = Field(description="When it was won.")


class OpportunityLost(OpportunityEvent):
    """A deal was lost."""

    type: ClassVar[str] = "crm.sales.opportunity.lost.v1"
    timeline = ("reason", "competitor_id", "lost_at")
    headline = "reason"
    reason: Open[LossReason] = Field(description="Why.")
    competitor_id: UUID | None = Field(description="Competitor that won it instead.")
    note: LongText | None = Field(description="Free text, at most 32,000 characters.")
    lost_at: UtcDatetime = Field(description="When it was lost.")


class OpportunityMerged(OpportunityEvent):
    """A deal was merged into another and no longer exists. The survivor publishes `updated` if it changed. So does each
    record that referred to the merged deal and now refers to the survivor."""

    type: ClassVar[str] = "crm.sales.opportunity.merged.v1"
    timeline = ("survivor_id",)
    survivor_id: UUID = Field(description="Deal that it was merged into.")


class OpportunityReopened(OpportunityEvent):
    """A won or lost deal is in progress again; its close records stay. Those say which quotes were taken up again with it."""

    type: ClassVar[str] = "crm.sales.opportunity.reopened.v1"


class OpportunitySnapshot(OpportunityEvent):
    """The current state of a deal, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.opportunity.snapshot.v1"
    survivor_id: UUID | None = Field(
        default=None,
        description="Deal that it was merged into, as in `merged`; null if it was not merged.",
        examples=[None],
        json_schema_extra={"x-since": "1.1.0"},
    )
