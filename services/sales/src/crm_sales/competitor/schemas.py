"""What clients send about competitors and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.money import Money
from crm_contracts.sales.competitor import CompetitorRecord
from crm_contracts.types import Count, Ids, LongText, Maybe, ShortText, Url, UtcDatetime
from crm_kit.records.patch import Patch


class CompetitorCreate(BaseModel):
    """A new competitor. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Difference Engines Ltd", "website": "https://example.org", "strengths": "Delivers in a week"}
            ]
        },
    )

    name: ShortText = Field(description="Name, 1 to 200 characters.")
    website: Maybe[Url] = Field(None, description="Website, http or https.")
    strengths: Maybe[LongText] = Field(None, description="Its strengths compared with us, at most 32,000 characters.")
    weaknesses: Maybe[LongText] = Field(None, description="Its weaknesses compared with us, at most 32,000 characters.")
    product_ids: Ids = Field([], description="Products of ours that it competes with; one named twice counts once.")


class CompetitorUpdate(Patch, CompetitorCreate):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"weaknesses": "No service after six"}]})


class CompetitorRead(CompetitorRecord):
    """A competitor as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


class CompetitorFigures(BaseModel):
    """How a competitor does against us, by the deals that you may read. Values are in base currency."""

    deals: Count = Field(description="Deals that name it in `competitor_ids`, whatever their status.")
    open_count: Count = Field(description="Those of them that are open now.")
    won_count: Count = Field(description="Those of them that we won.")
    won_value: Money = Field(description="Sum of their actual values.")
    lost_count: Count = Field(
        description="Those of them that we lost to it: lost now, and the last close record names the competitor."
    )
    lost_value: Money = Field(description="Sum of their estimated values; a deal without one adds nothing.")
    win_rate: float | None = Field(
        description="won_count / (won_count + lost_count) in percent, 0 to 100, two decimals; null while nothing is decided.",
        ge=0,
        le=100,
        examples=[66.67],
    )
    as_of: UtcDatetime = Field(description="When the figures were read.")
