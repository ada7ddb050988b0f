"""The table of goals, and the changes of a goal."""

from datetime import date, datetime
from decimal import Decimal  # noqa: F401  # SQLAlchemy resolves the annotations of Money here
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.choices import GoalMetric
from crm_contracts.sales.goal import GoalRecord
from crm_kit.store.columns import (
    money_columns,
    name_indexes,
    owned_indexes,
    reference_indexes,
    search_index,
    sorted_indexes,
    text_enum,
)
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.refers import reference, refers
from crm_kit.store.searching import search_column, search_rule
from crm_sales.db import Base
from crm_sales.goal.domain import LIFECYCLE, Period, Targets


class Goal(OwnedRecord, Stateful, Base):
    """A target for a user or team within a period."""

    __tablename__ = "goal"
    record_model: ClassVar[type[BaseModel]] = GoalRecord
    lifecycle = LIFECYCLE

    name: Mapped[str] = mapped_column(String(200))
    metric: Mapped[GoalMetric] = mapped_column(text_enum(GoalMetric))
    period_start: Mapped[date]
    period_end: Mapped[date]
    goal_owner_type: Mapped[str | None] = mapped_column(String(8))
    goal_owner_id: Mapped[UUID | None] = mapped_column(info=refers("user", "team"))
    parent_goal_id: Mapped[UUID | None] = reference("goal")
    target: Mapped[Money | None] = money_columns("target")
    target_count: Mapped[int | None]
    stretch_target: Mapped[Money | None] = money_columns("stretch_target")
    stretch_target_count: Mapped[int | None]
    description: Mapped[str | None] = mapped_column(Text)
    final_actual: Mapped[Money | None] = money_columns("final_actual")
    final_actual_count: Mapped[int | None]
    closed_at: Mapped[datetime | None]

    search_text: Mapped[str] = search_column("name")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *name_indexes("goal", "name"),
        CheckConstraint("period_end >= period_start", name="period"),
        *owned_indexes(),
        Index(None, "name", "id"),
        Index(None, "period_start", "id"),
        Index(None, "period_end", "id"),
        *sorted_indexes("goal", "target_amount", "target_count"),
        *reference_indexes("goal", "goal_owner_id", "parent_goal_id"),
        search_index(),
    )

    @property
    def period(self) -> Period:
        """First and last day, both included."""
        return self.period_start, self.period_end

    @property
    def targets(self) -> Targets:
        """The targets of the goal."""
        return Targets(self.target, self.target_count, self.stretch_target, self.stretch_target_count)

    def close(self, reached: Money | int, at: datetime) -> None:
        """Close the goal and store the reached value (Dataverse: a closed goal is not rolled up any more)."""
        self.move("close")
        if isinstance(reached, Money):
            self.final_actual = reached
        else:
            self.final_actual_count = reached
        self.closed_at = at

    def discard(self) -> None:
        """Discard the goal."""
        self.move("discard")

    def reopen(self) -> None:
        """Reopen the goal. Its figures are computed again."""
        self.move("reopen")
        self.final_actual = self.final_actual_count = self.closed_at = None
