"""What clients send about series of appointments and what they get."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from crm_activities.activity.schemas import AboutFields, SeenRegarding
from crm_activities.appointment.schemas import AttendeeRead, MeetingFields, Shown
from crm_contracts.activities.recurring_appointment import RecurringAppointmentRecord
from crm_contracts.types import ShortText, UtcDatetime
from crm_kit.records.patch import Patch, optional

RuleText = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class SeriesFields(MeetingFields, AboutFields):
    """The fields of a series that clients write. The times are those of the first appointment."""


class RecurringAppointmentCreate(SeriesFields):
    """A new series."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "subject": "Weekly review",
                    "scheduled_start_at": "2026-12-07T09:00:00+01:00",
                    "scheduled_end_at": "2026-12-07T10:00:00+01:00",
                    "start_zone": "Europe/Vienna",
                    "rule": "FREQ=WEEKLY;BYDAY=MO;COUNT=12",
                }
            ]
        }
    )

    subject: ShortText = Field(description="What the appointments are about, 1 to 200 characters.")
    show_as: Shown = Field("busy", description="How the time of each is shown.")
    rule: RuleText = Field(
        description="Recurrence rule (RFC 5545 §3.3.10) without DTSTART: FREQ is DAILY, WEEKLY, MONTHLY or YEARLY.",
        examples=["FREQ=WEEKLY;BYDAY=MO"],
    )


class RecurringAppointmentUpdate(Patch, SeriesFields):
    """A merge patch (RFC 7396) for all appointments of the series that have not begun."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"location": "Room 3"}]})

    subject: ShortText = optional("What the appointments are about, 1 to 200 characters.")
    rule: RuleText = optional("Another rule. Without it, the rule moves along with the first day.")


class SeriesSplit(RecurringAppointmentUpdate):
    """Changes of one occurrence and of all that follow."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["occurrence_at"],
            "examples": [
                {"occurrence_at": "2096-12-14T08:00:00Z", "scheduled_start_at": "2096-12-13T08:00:00Z"},
            ],
        }
    )

    occurrence_at: UtcDatetime = Field(description="`occurrence_at` of the first one to change.")


class SeriesEnd(BaseModel):
    """When a series ends."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"at": "2096-12-31T23:00:00Z"}]})

    at: UtcDatetime | None = Field(
        None, description="Occurrences that begin then or later are deleted; now by default."
    )


class RecurringAppointmentRead(RecurringAppointmentRecord):
    """A series as you may see it."""

    regarding: SeenRegarding
    parties: list[AttendeeRead] = Field(  # type: ignore[assignment]  # what is only read may say less than the record
        description="The organizer and who is invited. One whose record you may not read has no name of that record."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
