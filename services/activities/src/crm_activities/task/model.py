"""The table of tasks, and the changes of a task."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from pydantic import BaseModel
from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, activity_indexes
from crm_activities.db import Base
from crm_activities.task.domain import DONE, LIFECYCLE, percent_when_reopened
from crm_contracts.activities.task import TaskRecord
from crm_kit.store.columns import PercentType, search_index
from crm_kit.store.searching import search_column, search_rule


class Task(ActivityType, Base):
    """A piece of work to do."""

    __tablename__ = "task"
    record_model: ClassVar[type[BaseModel]] = TaskRecord
    lifecycle = LIFECYCLE

    percent_complete: Mapped[Decimal] = mapped_column(PercentType())
    category: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)

    search_text: Mapped[str] = search_column("subject", "category")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *activity_indexes("task"),
        search_index(),
    )

    def start(self) -> None:
        """Start work on the task."""
        self.move("start")

    def wait(self) -> None:
        """Mark the task as waiting for somebody else."""
        self.move("wait")

    def defer(self) -> None:
        """Defer the task."""
        self.move("defer")

    def complete(self, at: datetime) -> None:
        """Complete the task."""
        self.move("complete")
        self.completed_at, self.percent_complete = at, DONE

    def reopen(self) -> None:
        """Reopen the task."""
        super().reopen()
        self.percent_complete = percent_when_reopened(self.percent_complete)
