"""The task as a row, and what can happen to it."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from pydantic import BaseModel
from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, activity_indexes
from crm_activities.db import Base
from crm_activities.task.domain import DONE, LIFECYCLE, percent_when_reopened
from crm_contracts.activities.task import TaskRecord
from crm_kit.store.columns import PercentType, search_column


class Task(ActivityType, Base):
    """Something to do."""

    __tablename__ = "task"
    record_model: ClassVar[type[BaseModel]] = TaskRecord
    lifecycle = LIFECYCLE

    percent_complete: Mapped[Decimal] = mapped_column(PercentType())
    category: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)

    search_text: Mapped[str] = search_column("subject", "category")

    __table_args__ = (
        *activity_indexes("task"),
        Index(None, "search_text", postgresql_using="gin", postgresql_ops={"search_text": "gin_trgm_ops"}),
    )

    def start(self) -> None:
        """Somebody works on it."""
        self.move("start")

    def wait(self) -> None:
        """Somebody else has to do something first."""
        self.move("wait")

    def defer(self) -> None:
        """Not now."""
        self.move("defer")

    def complete(self, at: datetime) -> None:
        """It is done."""
        self.move("complete")
        self.completed_at, self.percent_complete = at, DONE

    def reopen(self) -> None:
        """It is to be done after all."""
        super().reopen()
        self.percent_complete = percent_when_reopened(self.percent_complete)
