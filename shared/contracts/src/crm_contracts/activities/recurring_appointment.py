"""Series of appointments. Terms follow Dataverse's RecurringAppointmentMaster and RFC 5545."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import Owner
from crm_contracts.types import Count, Date, LongText, Open, ShortText, UtcDatetime

from .activity import ActivityRecord
from .appointment import Attendee


class RecurringAppointmentStatus(StrEnum):
    """Each has one reason with the same name."""

    OPEN = "open"
    ENDED = "ended"


class ShownAs(StrEnum):
    """How the time of an appointment is shown to others."""

    FREE = "free"
    TENTATIVE = "tentative"
    BUSY = "busy"
    OUT_OF_OFFICE = "out_of_office"


class RecurringAppointmentRecord(ActivityRecord):
    """A series: the appointments that a rule produces. The times are those of the first one."""

    status: Open[RecurringAppointmentStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[RecurringAppointmentStatus] = Field(description="The same as the state.")
    subject: ShortText = Field(
        description="What the appointments are about, 1 to 200 characters.", examples=["Weekly review"]
    )
    location: ShortText | None = Field(
        description="Where they take place, at most 200 characters.", examples=["Room 2"]
    )
    all_day: bool = Field(description="True if each lasts whole days.")
    start_date: Date | None = Field(description="First day of the first appointment if they are all day; else null.")
    end_date: Date | None = Field(description="Its last day, inclusive; else null.")
    scheduled_start_at: UtcDatetime = Field(description="When the first appointment begins.")
    scheduled_end_at: UtcDatetime = Field(description="When it ends.")
    start_zone: str = Field(description="IANA time zone in which the rule is meant.", examples=["Europe/Vienna"])
    end_zone: str = Field(description="IANA time zone in which the end is meant.", examples=["Europe/Vienna"])
    duration_minutes: Count = Field(description="Whole minutes from start to end; read-only.", examples=[60])
    reminder_minutes: Count | None = Field(
        description="Minutes before each start at which the owner is reminded; null for no reminder.", examples=[15]
    )
    parties: list[Attendee] = Field(description="The organizer and who is invited, at most 500.")
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")
    show_as: Open[ShownAs] = Field(description="How each new occurrence is shown.")
    rule: str = Field(
        description="Recurrence rule (RFC 5545 §3.3.10). A COUNT that was sent is stored as the UNTIL of the last occurrence.",
        examples=["FREQ=WEEKLY;BYDAY=MO;UNTIL=20271231T080000Z"],
    )
    skips: bool = Field(
        description="True if the rule leaves out months or years that do not have its day, as on the 31st (RFC 5545 §3.3.10)."
    )
    exceptions: list[UtcDatetime] = Field(description="Starts of occurrences that were deleted, at most 1,000.")
    expanded_until: UtcDatetime | None = Field(
        description="Start of the last occurrence that has been made; later ones follow as time goes on; read-only."
    )
    uid: str = Field(
        description="Identifier in calendars (RFC 5545 §3.8.4.7).",
        examples=["01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f@liaison"],
    )
    sequence: Count = Field(description="Revision for calendars (RFC 5545 §3.8.7.4); read-only.")


RECURRING_APPOINTMENT = Entity(
    service="activities",
    name="recurring_appointment",
    collection="recurring-appointments",
    record=RecurringAppointmentRecord,
    owned=True,
    named="subject",
)


class RecurringAppointmentEvent(Event):
    """Something happened to a series of appointments."""

    entity: ClassVar[Entity] = RECURRING_APPOINTMENT
    record: RecurringAppointmentRecord


class RecurringAppointmentCreated(RecurringAppointmentEvent):
    """A series was made."""

    type: ClassVar[str] = "crm.activities.recurring_appointment.created.v1"


class RecurringAppointmentUpdated(RecurringAppointmentEvent):
    """Fields of a series changed."""

    type: ClassVar[str] = "crm.activities.recurring_appointment.updated.v1"


class RecurringAppointmentDeleted(RecurringAppointmentEvent):
    """A series was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.recurring_appointment.deleted.v1"


class RecurringAppointmentAssigned(RecurringAppointmentEvent):
    """A series was given to another owner. Its occurrences stay with theirs."""

    type: ClassVar[str] = "crm.activities.recurring_appointment.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class RecurringAppointmentExpanded(RecurringAppointmentEvent):
    """Further occurrences of a series were made."""

    type: ClassVar[str] = "crm.activities.recurring_appointment.expanded.v1"
    timeline = ("made",)
    made: Count = Field(description="How many.")


class RecurringAppointmentEnded(RecurringAppointmentEvent):
    """A series ended before its rule does."""

    type: ClassVar[str] = "crm.activities.recurring_appointment.ended.v1"


class RecurringAppointmentSnapshot(RecurringAppointmentEvent):
    """The current state of a series, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.recurring_appointment.snapshot.v1"
