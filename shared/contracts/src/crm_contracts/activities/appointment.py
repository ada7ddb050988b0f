"""Appointments. Terms follow Dataverse's Appointment and RFC 5545's VEVENT."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import Owner
from crm_contracts.types import Count, Date, LongText, Open, ShortText, UtcDatetime

from .activity import ActivityRecord, Party


class AppointmentStatus(StrEnum):
    OPEN = "open"
    SCHEDULED = "scheduled"
    COMPLETED = "completed"
    CANCELED = "canceled"


class AppointmentStatusReason(StrEnum):
    """open: free, tentative; scheduled: busy, out_of_office; completed: completed; canceled: canceled."""

    FREE = "free"
    TENTATIVE = "tentative"
    BUSY = "busy"
    OUT_OF_OFFICE = "out_of_office"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Reply(StrEnum):
    """The answer of an attendee (RFC 5545 §3.2.12)."""

    NEEDS_ACTION = "needs_action"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    TENTATIVE = "tentative"


class Attendee(Party):
    """Who takes part in an appointment, and what they answered."""

    reply: Open[Reply] = Field(description="The answer; `needs_action` until there is one.")
    replied_at: UtcDatetime | None = Field(description="When they answered.")


class AppointmentRecord(ActivityRecord):
    """A meeting or another reserved time. It begins and ends at instants, or is all day from one date to another."""

    status: Open[AppointmentStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[AppointmentStatusReason] = Field(description="Detail of the state.")
    subject: ShortText = Field(
        description="What the appointment is about, 1 to 200 characters.", examples=["Show the gold card"]
    )
    location: ShortText | None = Field(
        description="Where it takes place, at most 200 characters.", examples=["Room 2, Main Street 1"]
    )
    all_day: bool = Field(description="True if it lasts whole days.")
    start_date: Date | None = Field(description="First day of an all-day appointment, in `start_zone`; else null.")
    end_date: Date | None = Field(description="Last day of an all-day appointment, inclusive; else null.")
    scheduled_start_at: UtcDatetime = Field(
        description="When it begins; of an all-day appointment the beginning of the first day in `start_zone`."
    )
    scheduled_end_at: UtcDatetime = Field(
        description="When it ends; of an all-day appointment the end of the last day in `start_zone`."
    )
    start_zone: str = Field(description="IANA time zone in which the start is meant.", examples=["Europe/Vienna"])
    end_zone: str = Field(description="IANA time zone in which the end is meant.", examples=["America/New_York"])
    duration_minutes: Count = Field(description="Whole minutes from start to end; read-only.", examples=[60])
    reminder_minutes: Count | None = Field(
        description="Minutes before the start at which the owner is reminded; null if `remind_at` is a time of its own.",
        examples=[15],
    )
    parties: list[Attendee] = Field(description="The organizer and who is invited, required or optional, at most 500.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    uid: str = Field(
        description="Identifier in calendars (RFC 5545 §3.8.4.7). The occurrences of a series share it.",
        examples=["01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f@liaison"],
    )
    sequence: Count = Field(
        description="Revision for calendars (RFC 5545 §3.8.7.4): 1 more when the time changes or it is canceled."
    )
    series_id: UUID | None = Field(description="The series of which it is an occurrence; null for a single one.")
    occurrence_at: UtcDatetime | None = Field(
        description="When the rule of the series puts this occurrence, also after it was moved; null for a single one."
    )
    occurrence_changed: bool = Field(
        description="True if this occurrence was changed by itself, so that changes of the whole series leave it as it is."
    )


APPOINTMENT = Entity(
    service="activities",
    name="appointment",
    collection="appointments",
    record=AppointmentRecord,
    owned=True,
    named="subject",
)


class AppointmentEvent(Event):
    """Something happened to an appointment."""

    entity: ClassVar[Entity] = APPOINTMENT
    record: AppointmentRecord


class AppointmentCreated(AppointmentEvent):
    """An appointment was made."""

    type: ClassVar[str] = "crm.activities.appointment.created.v1"


class AppointmentUpdated(AppointmentEvent):
    """Fields of an appointment changed."""

    type: ClassVar[str] = "crm.activities.appointment.updated.v1"


class AppointmentDeleted(AppointmentEvent):
    """An appointment was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.appointment.deleted.v1"


class AppointmentAssigned(AppointmentEvent):
    """An appointment was given to another owner."""

    type: ClassVar[str] = "crm.activities.appointment.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class AppointmentConfirmed(AppointmentEvent):
    """The time of an appointment is reserved: busy or out of office."""

    type: ClassVar[str] = "crm.activities.appointment.confirmed.v1"
    timeline = ("reason",)
    headline = "reason"
    reason: Open[AppointmentStatusReason] = Field(description="The status reason: busy or out_of_office.")


class AppointmentHeldTentatively(AppointmentEvent):
    """The time of an appointment is reserved, but may change."""

    type: ClassVar[str] = "crm.activities.appointment.held_tentatively.v1"


class AppointmentFreed(AppointmentEvent):
    """An appointment takes place and reserves no time."""

    type: ClassVar[str] = "crm.activities.appointment.freed.v1"
    phrase = "shown as free"


class AppointmentCompleted(AppointmentEvent):
    """An appointment took place."""

    type: ClassVar[str] = "crm.activities.appointment.completed.v1"
    timeline = ("completed_at",)
    completed_at: UtcDatetime = Field(description="When it was completed.")


class AppointmentCanceled(AppointmentEvent):
    """An appointment will not take place."""

    type: ClassVar[str] = "crm.activities.appointment.canceled.v1"


class AppointmentReopened(AppointmentEvent):
    """A completed or canceled appointment is planned again."""

    type: ClassVar[str] = "crm.activities.appointment.reopened.v1"


class AppointmentRescheduled(AppointmentEvent):
    """The time of an appointment changed."""

    type: ClassVar[str] = "crm.activities.appointment.rescheduled.v1"
    timeline = ("old_due_at", "new_due_at")
    old_due_at: UtcDatetime = Field(description="Start before.")
    new_due_at: UtcDatetime = Field(description="Start now.")


class AppointmentReminderDue(AppointmentEvent):
    """The reminder of an appointment is due."""

    type: ClassVar[str] = "crm.activities.appointment.reminder_due.v1"
    phrase = "reminder"
    timeline = ("remind_at",)
    remind_at: UtcDatetime = Field(description="Time of the reminder.")


class AppointmentSnapshot(AppointmentEvent):
    """The current state of an appointment, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.appointment.snapshot.v1"
