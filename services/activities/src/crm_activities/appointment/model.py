"""The table of appointments, and the changes of an appointment."""

from datetime import date, datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, activity_indexes
from crm_activities.appointment.domain import LIFECYCLE, SHOWN_AS, TIMES, Times, asked_again, reminder_of
from crm_activities.db import Base
from crm_contracts.activities.appointment import AppointmentRecord
from crm_kit.store.columns import search_index
from crm_kit.store.refers import ANY, ids_in, refers
from crm_kit.store.searching import Fill, kept_column, search_column, search_rule

NAMES: Final = "(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)"
IDS: Final = (
    "array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p"
    " where p -> 'party' ->> 'id' is not null)"
)
LIVE: Final = "status in ('open', 'scheduled')"
RESERVED: Final = f"{LIVE} and status_reason <> 'free'"
"""The appointments whose people are busy."""


class Meeting:
    """The columns that an appointment and a series of them share."""

    location: Mapped[str | None] = mapped_column(String(200))
    all_day: Mapped[bool]
    start_date: Mapped[date | None]
    end_date: Mapped[date | None]
    scheduled_start_at: Mapped[datetime]
    scheduled_end_at: Mapped[datetime]
    start_zone: Mapped[str] = mapped_column(String(64))
    end_zone: Mapped[str] = mapped_column(String(64))
    duration_minutes: Mapped[int]
    reminder_minutes: Mapped[int | None]
    parties: Mapped[list[Any]] = mapped_column(JSONB)
    description: Mapped[str | None] = mapped_column(Text)
    uid: Mapped[str] = mapped_column(String(255))
    sequence: Mapped[int]

    @property
    def times(self) -> Times:
        """When it takes place."""
        return Times(*(getattr(self, name) for name in TIMES))


class Appointment(ActivityType, Meeting, Base):
    """A meeting, or another reserved time."""

    __tablename__ = "appointment"
    record_model: ClassVar[type[BaseModel]] = AppointmentRecord
    lifecycle = LIFECYCLE
    live = ("open", "scheduled")

    series_id: Mapped[UUID | None] = mapped_column(info=refers("recurring_appointment"))
    occurrence_at: Mapped[datetime | None]
    occurrence_changed: Mapped[bool] = mapped_column(server_default="false")

    party_ids: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid()), server_default="{}", info={**kept_column(), **refers(ANY), **ids_in("parties")}, sort_order=98
    )
    """The records that take part, for their timelines, and for what follows a merge."""
    search_text: Mapped[str] = search_column(
        "subject",
        "location",
        more=(NAMES,),
        fills=(Fill("party_ids", "uuid[] default '{}' not null", IDS),),
    )
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *activity_indexes("appointment", LIVE),
        Index("ix_appointment_scheduled_start_at_id", "scheduled_start_at", "id"),
        Index("ix_appointment_uid", "uid"),
        Index(
            "ix_appointment_series_id_occurrence_at",
            "series_id",
            "occurrence_at",
            unique=True,
            postgresql_where=text("series_id is not null"),
        ),
        Index("ix_appointment_party_ids", "party_ids", postgresql_using="gin"),
        Index(
            "ix_appointment_reserved",
            text("tstzrange(scheduled_start_at, scheduled_end_at)"),
            postgresql_using="gist",
            postgresql_where=text(RESERVED),
        ),
        search_index(),
    )

    def show_as(self, shown: str) -> None:
        """Set the state of a new appointment."""
        self.enter_lifecycle(SHOWN_AS[shown])

    def free(self) -> None:
        """Show the time as free."""
        self.move("free")

    def hold_tentatively(self) -> None:
        """Reserve the time, which may change."""
        self.move("tentative")

    def confirm(self, reason: str | None) -> None:
        """Reserve the time."""
        self.move("confirm", reason)

    def complete(self, at: datetime) -> None:
        """Complete the appointment."""
        self.move("complete")
        self.completed_at = at

    def cancel(self) -> None:
        """Cancel the appointment, which is a new revision for calendars."""
        super().cancel()
        self.sequence += 1

    def reopen(self) -> None:
        """Plan the appointment again, which is a new revision for calendars."""
        super().reopen()
        self.sequence += 1

    def take_place(self, times: Times) -> None:
        """Set when it takes place. Another time is a new revision, asks everybody again, and moves the reminder."""
        if times == self.times:
            return
        self.move_reminder(times.scheduled_start_at)
        for name, value in times.columns().items():
            setattr(self, name, value)
        if self.reminder_minutes is not None:
            self.remind(reminder_of(times, self.reminder_minutes))
        self.sequence += 1
        self.parties = asked_again(self.parties)

    def remind_before(self, minutes: int | None) -> None:
        """Remind this long before the start, or not at all."""
        self.reminder_minutes = minutes
        self.remind(None if minutes is None else reminder_of(self.times, minutes))
