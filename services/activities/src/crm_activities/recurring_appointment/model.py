"""The table of series of appointments, and the changes of a series."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, activity_indexes
from crm_activities.appointment.domain import Times
from crm_activities.appointment.model import IDS, NAMES, Meeting
from crm_activities.db import Base
from crm_activities.recurrence.expansion import Recurrence
from crm_activities.recurring_appointment.domain import LIFECYCLE
from crm_activities.recurring_appointment.planning import MOST_EXCEPTIONS, recurrence_of, text_of
from crm_contracts.activities.recurring_appointment import RecurringAppointmentRecord, ShownAs
from crm_contracts.sentences import said
from crm_contracts.types import utc_text
from crm_kit.errors import DomainError
from crm_kit.store.columns import search_index, text_enum
from crm_kit.store.refers import ANY, ids_in, refers
from crm_kit.store.searching import Fill, kept_column, search_column, search_rule


class RecurringAppointment(ActivityType, Meeting, Base):
    """The appointments that a rule produces."""

    __tablename__ = "recurring_appointment"
    record_model: ClassVar[type[BaseModel]] = RecurringAppointmentRecord
    lifecycle = LIFECYCLE

    show_as: Mapped[ShownAs] = mapped_column(text_enum(ShownAs))
    rule: Mapped[str] = mapped_column(Text)
    skips: Mapped[bool]
    exceptions: Mapped[list[Any]] = mapped_column(JSONB)
    expanded_until: Mapped[datetime | None]
    expand_at: Mapped[datetime | None]
    """When the timer has to make further occurrences."""

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
        *activity_indexes("recurring_appointment"),
        Index("ix_recurring_appointment_scheduled_start_at_id", "scheduled_start_at", "id"),
        Index("ix_recurring_appointment_party_ids", "party_ids", postgresql_using="gin"),
        Index("ix_recurring_appointment_uid", "uid"),
        Index(
            "ix_recurring_appointment_expand_at",
            "expand_at",
            postgresql_where=text("status = 'open' and expand_at is not null"),
        ),
        search_index(),
    )

    @property
    def recurrence(self) -> Recurrence:
        """The rule with its first start."""
        return recurrence_of(self.rule, self.times)

    def recur(self, recurrence: Recurrence, times: Times) -> None:
        """Set the rule and the times of the first appointment."""
        for name, value in times.columns().items():
            setattr(self, name, value)
        self.rule, self.skips = text_of(recurrence), recurrence.skips()

    def end(self, recurrence: Recurrence, at: datetime) -> None:
        """End the series."""
        self.move("end-series")
        self.recur(recurrence, self.times)
        self.completed_at, self.expand_at = at, None
        self.sequence += 1

    def leave_out(self, at: datetime) -> None:
        """Leave out an occurrence that was deleted, so that it is not made again."""
        text_ = utc_text(at)
        if text_ in self.exceptions:
            return
        if len(self.exceptions) >= MOST_EXCEPTIONS:
            message = said(
                "Cancel the occurrence, or end the series: it has {most} deleted ones.", most=MOST_EXCEPTIONS
            )
            raise DomainError("too-many-occurrences", message)
        self.exceptions = [*self.exceptions, text_]
        self.sequence += 1
