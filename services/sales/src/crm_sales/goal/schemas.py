"""What clients send about goals and what they get."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.money import Money
from crm_contracts.sales.choices import GoalMetric, GoalStatus
from crm_contracts.sales.goal import GoalOwnerRef, GoalRecord
from crm_contracts.types import Count, Date, LongText, Maybe, NonNegativeMoney, Open, RefInput, ShortText, UtcDatetime
from crm_kit.records.patch import Patch, optional


class GoalOwnerInput(RefInput):
    """Who shall reach a goal, as clients write it."""

    type: Literal["user", "team"] = Field(description="`user` or `team`.", examples=["user"])


class GoalFields(BaseModel):
    """The fields of a goal that clients write. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    goal_owner: GoalOwnerInput | None = Field(
        None,
        description="Active user or team that shall reach it, within the depth of your right on goals; a team counts "
        "what it owns and what its members own. Null "
        "for a goal that is only the sum of those below it.",
    )
    parent_goal_id: UUID | None = Field(
        None,
        description="Open goal of the same metric that this one is a part of; its period holds this one's. At most 10 "
        "levels below a root.",
    )
    target: NonNegativeMoney | None = Field(
        None, description="Target amount in base currency; required for `won_amount`."
    )
    target_count: Count | None = Field(
        None, description="Target number; required for every metric except `won_amount`."
    )
    stretch_target: NonNegativeMoney | None = Field(
        None, description="Stretch target in base currency, not below `target`."
    )
    stretch_target_count: Count | None = Field(None, description="Stretch target, not below `target_count`.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class GoalCreate(GoalFields):
    """A new goal."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Cards in spring",
                    "metric": "won_amount",
                    "period_start": "2027-03-01",
                    "period_end": "2027-05-31",
                    "target": {"amount": "250000.00", "currency": "EUR"},
                    "stretch_target": {"amount": "300000.00", "currency": "EUR"},
                }
            ]
        }
    )

    name: ShortText = Field(description="What the goal is called, 1 to 200 characters.")
    metric: GoalMetric = Field(
        description="What is counted, for good: won deals by value in base currency or by number, leads that are "
        "qualified, cases that are resolved."
    )
    period_start: Date = Field(description="First day that counts, YYYY-MM-DD, in the organisation's time zone.")
    period_end: Date = Field(description="Last day that counts, YYYY-MM-DD; not before the first.")


class GoalUpdate(Patch, GoalFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"description": "Without the fleet business"}]})

    name: ShortText = optional("What the goal is called, 1 to 200 characters.")
    period_start: Date = optional("First day that counts, YYYY-MM-DD.")
    period_end: Date = optional("Last day that counts, YYYY-MM-DD; not before the first.")


class GoalRead(GoalRecord):
    """A goal as you may see it."""

    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")


Value = Money | int
"""What a metric is measured in: Money in base currency for ``won_amount``, a whole number for the others."""

MEASURE = "Money in base currency when `metric` is `won_amount`, else a whole number."


class GoalChildren(BaseModel):
    """The goals directly below a goal, without discarded ones, taken together."""

    count: Count = Field(description="How many there are, also of those you may not read.")
    target_sum: Value = Field(description=f"Their targets, summed. {MEASURE}")
    difference: Value = Field(
        description="The goal's target less `target_sum`: what is not handed down yet, below zero when more is. "
        + MEASURE
    )
    actual_sum: Value = Field(
        description="What they have reached, summed; more than `actual` where a record counts for several. " + MEASURE
    )


class GoalBelow(BaseModel):
    """One goal of the tree below."""

    id: UUID = Field(description="Id of the goal.")
    parent_goal_id: UUID = Field(description="The goal above it; one you may not read is not in the list.")
    level: Count = Field(description="How far below: 1 for the children of the goal asked for.")
    name: ShortText = Field(description="What the goal is called.")
    status: Open[GoalStatus] = Field(description="`open` or `closed`.")
    period_start: Date = Field(description="First day that counts.")
    period_end: Date = Field(description="Last day that counts.")
    goal_owner: GoalOwnerRef | None = Field(description="Who shall reach it; null for a sum of goals below.")
    actual: Value = Field(description="What it has reached, with the goals below it. " + MEASURE)
    target: Value = Field(description="What it shall reach. " + MEASURE)
    stretch_target: Value | None = Field(description="More than what is asked for. " + MEASURE)
    gap: Value = Field(description="What is missing to the target; zero once it is reached. " + MEASURE)
    percent: float | None = Field(
        description="`actual` as percentage of the target, two decimals; over 100 when it is passed, null for a target of zero."
    )


class GoalProgress(BaseModel):
    """How far a goal is, and the goals below it."""

    metric: Open[GoalMetric] = Field(description="What is counted.")
    actual: Value = Field(
        description="What has been reached; for a closed goal, what had been reached at its close. " + MEASURE,
        examples=[{"amount": "120000.00", "currency": "EUR"}],
    )
    target: Value = Field(description="What shall be reached. " + MEASURE)
    stretch_target: Value | None = Field(description="More than what is asked for. " + MEASURE)
    gap: Value = Field(description="What is missing to the target; zero once it is reached. " + MEASURE)
    percent: float | None = Field(
        description="`actual` as percentage of the target, two decimals; over 100 when it is passed, null for a target of zero.",
        examples=[48],
    )
    children: GoalChildren = Field(description="The goals directly below, taken together.")
    goals: list[GoalBelow] = Field(
        description="The whole tree below, as far as you may read it: by level, then name; at most 200 goals. Discarded "
        "goals and what is below them are left out."
    )
    hidden: Count = Field(description="Goals of the tree below that you may not read; they count all the same.")
    truncated: bool = Field(description="True when `goals` ends at 200 although you may read more.")
    as_of: UtcDatetime = Field(description="When the progress was read.")
