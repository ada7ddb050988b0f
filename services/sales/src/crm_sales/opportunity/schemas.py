"""What clients send about opportunities and what they get."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crm_contracts.sales.choices import EstimatedValueSource, LeadSource, LossReason, OpportunityStatus, Rating
from crm_contracts.sales.opportunity import OpportunityRecord
from crm_contracts.types import (
    Date,
    Flag,
    Ids,
    LongText,
    Maybe,
    NonNegativeMoney,
    Percent,
    Quantity,
    ShortText,
    UtcDatetime,
)
from crm_contracts.unit_price import UnitPrice
from crm_kit.errors import InvalidValue
from crm_kit.records.merging import Merge
from crm_kit.records.patch import Patch, optional
from crm_sales.customer_link.schemas import CustomerInput, CustomerShown
from crm_sales.pricing.schemas import LineInputs


class OpportunityFields(BaseModel):
    """The fields of an opportunity that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    customer: CustomerInput | None = Field(
        None, description="Account or contact, active and readable to you; may be missing until the deal is won."
    )
    originating_lead_id: UUID | None = Field(None, description="Lead that the deal came from.")
    campaign_id: UUID | None = Field(None, description="Campaign that brought it; readable to you, and in any state.")
    source: LeadSource | None = Field(None, description="Where it came from.")
    rating: Rating | None = Field(None, description="How promising it is.")
    probability: Percent | None = Field(
        None, description="Chance to win in percent, 0 to 100, kept from then on; null follows the stage."
    )
    estimated_value: NonNegativeMoney | None = Field(None, description="Expected revenue, zero or more.")
    estimated_close_date: Date | None = Field(None, description="When it should close, YYYY-MM-DD.")
    competitor_ids: Ids = Field(
        [], description="Competitors that are after it, active and readable to you; one named twice counts once."
    )
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class OpportunityLines(OpportunityFields):
    """What a deal is about, as clients write it."""

    price_list_id: UUID | None = Field(
        None, description="Price list in force that the lines' prices come from, in the currency of the deal."
    )
    lines: LineInputs = Field([], description="All lines, in order; at most 500. Those left out are removed.")
    estimated_value_source: EstimatedValueSource = Field(
        EstimatedValueSource.USER,
        description="`user`: the estimated value is given; `lines`: it is the sum of the lines, and not to be given.",
    )


class OpportunityCreate(OpportunityLines):
    """A new deal."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Fleet of 40 cars", "estimated_value": {"amount": "900000.00", "currency": "EUR"}}]
        }
    )

    name: ShortText = Field(description="What the deal is called, 1 to 200 characters.")
    stage_id: UUID | None = Field(None, description="Sales stage to start in; the first unless given.")


class OpportunityUpdate(Patch, OpportunityLines):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field. `lines` is always the whole list."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"rating": "hot"}]})

    name: ShortText = optional("What the deal is called, 1 to 200 characters.")


class OpportunityRead(OpportunityRecord):
    """An opportunity as you may see it."""

    customer: CustomerShown | None = Field(
        description="Account or contact; may be missing until the deal is won; `hidden` without its name"
        " where you may not read it."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class StageChange(BaseModel):
    """The stage to go to: by name or by id, one of the two."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"stage": "propose"}]})

    stage: ShortText | None = Field(None, description="Name of the stage.")
    stage_id: UUID | None = Field(None, description="Id of the stage.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "StageChange":
        if (self.stage is None) == (self.stage_id is None):
            raise InvalidValue("/stage", "stage-required", "Send stage or stage_id.")
        return self


class OpportunityWin(BaseModel):
    """How the deal was won (Dataverse: WinOpportunity)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"actual_value": {"amount": "1150.00", "currency": "EUR"}}]}
    )

    actual_value: NonNegativeMoney | None = Field(
        None, description="What it was won with, in the deal's currency; its estimated value unless given."
    )
    closed_at: UtcDatetime | None = Field(None, description="When it was won; now unless given, never in the future.")
    note: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")
    allow_duplicates: Flag = Field(
        False, description="Make account and contact of the lead although similar ones exist."
    )
    force: Flag = Field(False, description="Win it although quotes are active or orders unfinished.")


class OpportunityLoss(BaseModel):
    """How the deal was lost (Dataverse: LoseOpportunity)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "out_sold"}]})

    reason: LossReason | None = Field(
        None, description="Reason; unless said, `out_sold` when a competitor is named and `canceled` when none is."
    )
    competitor_id: UUID | None = Field(
        None,
        description="Competitor that won it instead, active and readable to you; becomes one of `competitor_ids`. Only "
        "of a deal that was out-sold.",
    )
    closed_at: UtcDatetime | None = Field(None, description="When it was lost; now unless given, never in the future.")
    note: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class OpportunityReopening(BaseModel):
    """What else is taken up again with the deal."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reopen_quotes": True}]})

    reopen_quotes: Flag = Field(
        False,
        description="Whether the quotes that losing the deal closed become drafts or active again, as they were. One that "
        "was revised since or whose last day has passed stays closed.",
    )


OpportunityMergeField = Literal[
    "name",
    "customer",
    "originating_lead_id",
    "campaign_id",
    "source",
    "rating",
    "probability",
    "estimated_value",
    "estimated_close_date",
    "competitor_ids",
    "lines",
    "description",
]


class OpportunityMerge(Merge):
    """Which deal takes the place of this one, and what of this one it takes over (Dataverse: Merge)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"into": "019aa2f0-0000-7000-8000-000000000001", "fields": ["estimated_value", "lines"]}]
        }
    )

    fields: list[OpportunityMergeField] = Field(
        [],
        max_length=12,
        description="Fields of which the survivor takes over the value of this deal; `lines` with their price list. "
        "`estimated_value_source` and the stage every deal keeps.",
    )


class OpportunityImport(OpportunityFields):
    """A row of an import: a deal as another system knew it, open, won or lost, with the days it had there.

    A day without a time of day is taken as its beginning in the organisation's time zone.
    """

    name: ShortText = Field(description="What the deal is called, 1 to 200 characters.")
    stage: Maybe[ShortText] = Field(
        None, description="Name of the stage it is in, or was closed in; the first unless given."
    )
    stage_id: UUID | None = Field(None, description="The same by id.")
    status: OpportunityStatus = Field(OpportunityStatus.OPEN, description="`open`, `won` or `lost`.")
    reason: LossReason | None = Field(None, description="Why it was lost; `canceled` unless said.")
    opened_at: UtcDatetime | Date | None = Field(
        None,
        description="When work on it began: when it entered its stage. When it was closed, else now, unless given.",
    )
    closed_at: UtcDatetime | Date | None = Field(
        None, description="When it was won or lost, never in the future; required for a closed deal."
    )
    actual_value: NonNegativeMoney | None = Field(
        None, description="What it was won with; its estimated value unless given, and one of the two is required."
    )
    note: Maybe[LongText] = Field(None, description="Free text of the close record, at most 32,000 characters.")
    price_list_id: UUID | None = Field(None, description="Price list in force that the product's price comes from.")
    product_id: UUID | None = Field(None, description="What the deal is about, as its one line: a product sold today.")
    quantity: Quantity | None = Field(None, description="How much of the product; 1 unless given.")
    unit_price: UnitPrice | None = Field(
        None,
        description="Price of one unit, with up to four more decimals than the currency; the price list's unless given.",
    )
