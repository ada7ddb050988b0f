"""Goals: targets of users and teams for a period. Goals add up to the goals above them."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import OwnedRecord, Owner
from crm_contracts.types import Count, Date, LongText, NonNegativeMoney, Open, Ref, ShortText, UtcDatetime

from .choices import GoalMetric, GoalStatus


class GoalOwnerRef(Ref):
    """The user, or the team with all its members, who should reach a goal."""

    type: Literal["user", "team"] = Field(description="`user` or `team`.", examples=["user"])


class GoalRecord(OwnedRecord):
    """A target for a period. The owner of the record manages the goal. `goal_owner` should reach it."""

    status: Open[GoalStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[GoalStatus] = Field(description="Detail of the state, with the same value.")
    name: ShortText = Field(description="Name of the goal, 1 to 200 characters.", examples=["Cards in spring"])
    metric: Open[GoalMetric] = Field(
        description="Metric. It is the same for a goal and all goals below it, and never changes."
    )
    period_start: Date = Field(description="First day that counts, in the organisation's time zone.")
    period_end: Date = Field(description="Last day that counts, in the organisation's time zone.")
    goal_owner: GoalOwnerRef | None = Field(
        description="User or team that should reach it; null if the goal is only the sum of the goals below it "
        "(Dataverse: Goal.GoalOwnerId)."
    )
    parent_goal_id: UUID | None = Field(
        description="Goal that this one is a part of: same metric, a period that contains this one. Cycles are refused."
    )
    target: NonNegativeMoney | None = Field(
        description="Target amount in base currency, zero or more; null unless `metric` is `won_amount`."
    )
    target_count: Count | None = Field(description="Target number, zero or more; null when `metric` is `won_amount`.")
    stretch_target: NonNegativeMoney | None = Field(
        description="Stretch target in base currency, not below `target` (Dataverse: StretchTargetMoney)."
    )
    stretch_target_count: Count | None = Field(
        description="Stretch target, not below `target_count` (Dataverse: StretchTargetInteger)."
    )
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    final_actual: NonNegativeMoney | None = Field(
        description="Amount reached when the goal was closed, in base currency; null unless it is closed and "
        "`metric` is `won_amount`; read-only."
    )
    final_actual_count: Count | None = Field(
        description="Number reached when the goal was closed; null unless it is closed and `metric` is a number; read-only."
    )
    closed_at: UtcDatetime | None = Field(description="When the goal was closed; null unless it is; read-only.")


GOAL = Entity(service="sales", name="goal", collection="goals", record=GoalRecord, owned=True)


class GoalEvent(Event):
    """Something happened to a goal. Its events do not contain the value reached, which follows from events of other records."""

    entity: ClassVar[Entity] = GOAL
    record: GoalRecord


class GoalCreated(GoalEvent):
    """A goal was set."""

    type: ClassVar[str] = "crm.sales.goal.created.v1"


class GoalUpdated(GoalEvent):
    """Fields of a goal changed."""

    type: ClassVar[str] = "crm.sales.goal.updated.v1"


class GoalDeleted(GoalEvent):
    """A goal was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.goal.deleted.v1"


class GoalAssigned(GoalEvent):
    """A goal was given to another owner to manage. `goal_owner`, who should reach it, does not change."""

    type: ClassVar[str] = "crm.sales.goal.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class GoalClosed(GoalEvent):
    """A goal was closed. The value reached at this moment is kept."""

    type: ClassVar[str] = "crm.sales.goal.closed.v1"
    timeline = ("final_actual", "final_actual_count", "closed_at")
    final_actual: NonNegativeMoney | None = Field(
        description="What was reached, in base currency; null unless `metric` is `won_amount`."
    )
    final_actual_count: Count | None = Field(description="How many were reached; null when `metric` is `won_amount`.")
    closed_at: UtcDatetime = Field(description="When it was closed.")


class GoalDiscarded(GoalEvent):
    """A goal was discarded. It and the goals below it no longer count for the goals above it."""

    type: ClassVar[str] = "crm.sales.goal.discarded.v1"


class GoalReopened(GoalEvent):
    """A closed or discarded goal counts again. The value kept at its close is removed."""

    type: ClassVar[str] = "crm.sales.goal.reopened.v1"


class GoalSnapshot(GoalEvent):
    """The current state of a goal, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.goal.snapshot.v1"
