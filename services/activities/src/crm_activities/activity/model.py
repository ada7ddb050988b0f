"""The columns of all activity types, and the view over all activities."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Computed, Index, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_activities.activity.domain import duration, require_order
from crm_activities.activity.schemas import ListedActivity
from crm_contracts.activities.activity import Priority
from crm_kit.store.columns import TYPE_MAP, name_indexes, service_metadata, text_enum
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.refers import ANY, refers
from crm_kit.store.searching import kept_column


class ActivityColumns(OwnedRecord, Stateful):
    """The columns that all activity types share."""

    called = "subject"

    subject: Mapped[str] = mapped_column(String(200))
    regarding_type: Mapped[str | None] = mapped_column(String(50))
    regarding_id: Mapped[UUID | None] = mapped_column(info=refers(ANY))
    due_at: Mapped[datetime | None]
    priority: Mapped[Priority] = mapped_column(text_enum(Priority))
    remind_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    happened_at: Mapped[datetime] = mapped_column(
        Computed("coalesce(completed_at, created_at)", persisted=True), sort_order=98
    )
    """Its position in a timeline: when it was completed, before that when it was created."""
    priority_rank: Mapped[int] = mapped_column(
        Computed("case priority when 'low' then 1 when 'normal' then 2 else 3 end", persisted=True), sort_order=97
    )
    """The sort key of the priority."""


class ActivityType(ActivityColumns):
    """An activity type: the shared columns and the changes that apply to all types."""

    live: ClassVar[tuple[str, ...]] = ("open",)
    """The statuses in which it can be changed and its owner is reminded."""

    def cancel(self) -> None:
        """Cancel the activity."""
        self.move("cancel")

    def reopen(self) -> None:
        """Reopen the activity."""
        self.move("reopen")
        self.completed_at = None

    def reschedule(self, due_at: datetime | None) -> None:
        """Change when the activity is due."""
        self.move("reschedule")
        self.move_reminder(due_at)
        self.due_at = due_at

    def move_reminder(self, due_at: datetime | None) -> None:
        """Move the reminder with the due time, by as much. It stays if either time is missing.

        Past the years that a time can have, the reminder is at the due time.
        """
        if self.remind_at is None or self.due_at is None or due_at is None:
            return
        try:
            self.remind(self.remind_at + (due_at - self.due_at))
        except OverflowError:
            self.remind(due_at)

    def snooze(self, until: datetime) -> None:
        """Postpone the reminder."""
        self.move("snooze")
        self.remind(until)

    def remind(self, at: datetime | None) -> None:
        """Set the reminder. A changed time causes a new reminder."""
        if at != self.remind_at:
            self.remind_at, self.reminded_at = at, None


class Timed:
    """The planned and actual times of an activity, and its duration."""

    scheduled_start_at: Mapped[datetime | None]
    scheduled_end_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    duration_minutes: Mapped[int | None]

    def settle_times(self, values: Mapping[str, Any]) -> None:
        """Check the times after ``values`` were set, and set the duration.

        A measured duration replaces one entered before.

        422 ``end-before-start``, ``contradicts-times``, ``too-long``.
        """
        require_order(self.scheduled_start_at, self.scheduled_end_at, "scheduled_end_at")
        require_order(self.started_at, self.ended_at, "ended_at")
        measured = duration(self.started_at, self.ended_at, values.get("duration_minutes"))
        if measured is not None:
            self.duration_minutes = measured


def activity_indexes(table: str, live: str = "status = 'open'") -> list[Index]:
    """Return the indexes of an activity type: lists by owner and business unit, timelines of records, due reminders.

    ``live`` is the condition of rows whose owner is reminded.
    """
    return [
        Index(f"ix_{table}_created_at_id", "created_at", "id"),
        Index(f"ix_{table}_owner_id_created_at_id", "owner_id", "created_at", "id"),
        Index(f"ix_{table}_business_unit_id_created_at_id", "business_unit_id", "created_at", "id"),
        Index(f"ix_{table}_modified_at_id", "modified_at", "id"),
        *name_indexes(table, "subject"),
        Index(f"ix_{table}_priority_rank_id", "priority_rank", "id"),
        Index(f"ix_{table}_due_at_id", text("due_at nulls first"), "id"),
        Index(f"ix_{table}_owner_id_due_at_id", "owner_id", text("due_at nulls first"), "id"),
        Index(
            f"ix_{table}_timeline",
            "regarding_id",
            "happened_at",
            "id",
            postgresql_where=text("regarding_id is not null"),
        ),
        Index(
            f"ix_{table}_reminder",
            "remind_at",
            postgresql_where=text(f"reminded_at is null and {live} and remind_at is not null"),
        ),
    ]


class Views(DeclarativeBase):
    """The base of read-only views. They have their own metadata, because migrations compare that of the tables."""

    metadata = service_metadata()
    type_annotation_map = TYPE_MAP


class Activity(ActivityColumns, Views):
    """An activity of any type: a row of the view over all types. A migration recreates the view for a new type."""

    __tablename__ = "activity"
    record_model: ClassVar[type[BaseModel]] = ListedActivity

    type: Mapped[str] = mapped_column(String(50), sort_order=-21)
    search_text: Mapped[str] = mapped_column(Text, info=kept_column(), sort_order=99)
    party_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), info=kept_column(), sort_order=99)
    """The records that take part in it; for tasks empty."""
