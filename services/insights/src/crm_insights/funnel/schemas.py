"""What clients get of the funnel."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.money import Money
from crm_contracts.types import Count, UtcDatetime

Share = Annotated[float | None, Field(ge=0, le=100)]
"""Percent with two decimals; null where there is nothing to take a share of."""
Seconds = Annotated[float | None, Field(ge=0)]
"""Seconds with three decimals; null where there is nothing to measure."""


class LeadFigures(BaseModel):
    """How far the leads came. Each step counts leads, and only leads that took the step before it."""

    count: Count = Field(description="Leads, whatever became of them; one merged into another counts no more.")
    open: Count = Field(description="Those of them that are open now.")
    disqualified: Count = Field(description="Those of them that are disqualified now.")
    qualified: Count = Field(description="Those of them that are qualified now.")
    opportunities: Count = Field(description="Qualified leads that an opportunity came from which you may read.")
    won: Count = Field(description="Those of them with an opportunity that is won now.")
    qualified_percent: Share = Field(description="`qualified` in percent of `count`; null without leads.")
    opportunities_percent: Share = Field(description="`opportunities` in percent of `qualified`; null without any.")
    won_percent: Share = Field(description="`won` in percent of `opportunities`; null without any.")


class OpportunityFigures(BaseModel):
    """All opportunities together, those that came from no lead, too. Amounts are in base currency."""

    count: Count = Field(description="Opportunities, whatever their status.")
    open: Count = Field(description="Those of them that are open now.")
    on_hold: Count = Field(description="Open ones that are on hold.")
    won: Count = Field(description="Those of them that are won now.")
    lost: Count = Field(description="Those of them that are lost now.")
    lost_reasons: dict[str, Count] = Field(
        description="How many of the lost ones by `status_reason`, `canceled` or `out_sold`; reasons of none are left out.",
        examples=[{"out_sold": 2}],
    )
    estimated_value: Money = Field(
        description="Estimated value of the open ones, summed; one without a value adds zero."
    )
    weighted_value: Money = Field(
        description="Estimated value × probability of each open one, summed, then rounded half up."
    )
    won_value: Money = Field(description="Actual value of the won ones, summed.")
    win_percent: Share = Field(description="`won` in percent of `won` and `lost`; null before any is closed.")


class StageFigures(BaseModel):
    """One stage of the sales process. Amounts are in base currency."""

    stage_id: UUID = Field(description="Id of the sales stage.")
    stage: str = Field(description="Current name of the stage.", examples=["propose"])
    position: Count | None = Field(
        description="Order among the stages, lowest first; null for moments in which the stage is known only from deals."
    )
    deleted: bool = Field(description="True for a deleted stage, which is shown if deals were in it.")
    entered: Count = Field(description="Opportunities that were ever in it, each once.")
    advanced: Count = Field(
        description="Those of them that later entered a stage further on, by today's order of the stages, or are won now."
    )
    conversion: Share = Field(description="`advanced` in percent of `entered`, two decimals; null when none entered.")
    open: Count = Field(description="Open opportunities that are in it now.")
    won: Count = Field(description="Opportunities that are won now and were in it when they were.")
    lost: Count = Field(description="Opportunities that are lost now and were in it when they were.")
    estimated_value: Money = Field(description="Estimated value of its open opportunities, summed.")
    weighted_value: Money = Field(
        description="Estimated value × probability of each of its open opportunities, summed, then rounded half up."
    )
    average_seconds: Seconds = Field(
        description="Time in the stage in seconds, average over the opportunities that have left it: all their stays "
        "together, on hold or not. Closing ends a stay, reopening begins another. Null while none has left."
    )
    median_seconds: Seconds = Field(description="The same as median: the mean of the middle two when they are even.")


class Funnel(BaseModel):
    """The sales funnel, from the events of sales so far."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    leads: LeadFigures | None = Field(description="Leads on their way; null when you may read no leads.")
    opportunities: OpportunityFigures = Field(description="All opportunities together.")
    stages: list[StageFigures] = Field(description="The stages in their order, each live one also when it is empty.")
    as_of: UtcDatetime = Field(description="When the figures were read.")
