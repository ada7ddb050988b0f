"""What clients send about campaigns and what they get."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crm_contracts.marketing import CampaignChannel, CampaignRecord, CampaignType
from crm_contracts.money import Money
from crm_contracts.types import Count, Date, Flag, LongText, Maybe, NonNegativeMoney, Percent, ShortText, UtcDatetime
from crm_kit.records.patch import Patch, optional


def _each_once(channels: list[CampaignChannel]) -> list[CampaignChannel]:
    return list(dict.fromkeys(channels))


Channels = Annotated[list[CampaignChannel], Field(max_length=100), AfterValidator(_each_once)]


class CampaignFields(BaseModel):
    """The fields of a campaign that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    code: Maybe[ShortText] = Field(None, description="Your own tracking code, at most 200 characters.")
    type: CampaignType | None = Field(None, description="Kind of campaign.")
    channels: Channels = Field([], description="Channels of the campaign; duplicates count once.")
    objective: Maybe[LongText] = Field(None, description="Objective, at most 32,000 characters.")
    offer: Maybe[LongText] = Field(None, description="Offer, at most 32,000 characters.")
    proposed_start: Date | None = Field(None, description="Planned first day, YYYY-MM-DD.")
    proposed_end: Date | None = Field(None, description="Planned last day, YYYY-MM-DD; not before the first.")
    budget: NonNegativeMoney | None = Field(None, description="Planned budget, zero or more, in base currency.")
    other_cost: NonNegativeMoney | None = Field(
        None, description="Cost that comes from no activity of the campaign, zero or more, in base currency."
    )
    expected_response: Percent | None = Field(
        None, description="Share of people expected to respond, in percent, 0 to 100."
    )
    expected_revenue: NonNegativeMoney | None = Field(
        None, description="Expected revenue, zero or more, in base currency."
    )
    is_template: Flag = Field(False, description="True for a template. A template can be copied, but not launched.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class CampaignCreate(CampaignFields):
    """A new campaign."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Gold card, spring",
                    "type": "direct_marketing",
                    "channels": ["email", "newspaper", "video"],
                    "proposed_start": "2026-12-01",
                    "budget": {"amount": "20000.00", "currency": "EUR"},
                }
            ]
        }
    )

    name: ShortText = Field(description="What the campaign is called, 1 to 200 characters.")


class CampaignUpdate(Patch, CampaignFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"other_cost": {"amount": "4000.00", "currency": "EUR"}}]}
    )

    name: ShortText = optional("What the campaign is called, 1 to 200 characters.")


class CampaignRead(CampaignRecord):
    """A campaign as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class CampaignCopy(BaseModel):
    """The properties of the copy (Dataverse: CopyCampaign)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Gold card, autumn"}]})

    name: Maybe[ShortText] = Field(
        None, description="Its name, at most 200 characters; `Copy of …` and the name of the original unless given."
    )
    is_template: Flag = Field(False, description="True to keep the copy as a template.")


class CampaignFigures(BaseModel):
    """The results of a campaign, from the events of sales so far. Amounts are in base currency."""

    leads: Count = Field(description="Leads that name the campaign, whatever their status.")
    qualified: Count = Field(description="Those of them that are qualified now.")
    opportunities: Count = Field(description="Deals that name the campaign, whatever their status.")
    won_count: Count = Field(description="Those of them that are won now.")
    won_revenue: Money = Field(description="Sum of the won deals' values.")
    responses: Count = Field(description="Responses to the campaign; 0 while no responses are recorded.")
    cost: Money = Field(description="Cost of the campaign: its `other_cost`; zero if none is set.")
    roi: float | None = Field(
        description="(won revenue − cost) / cost as a share, four decimals: 1.5 is 150 percent; null when the cost is zero.",
        examples=[1.5],
    )
    as_of: UtcDatetime = Field(description="When the figures were read.")
