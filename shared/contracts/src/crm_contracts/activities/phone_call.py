"""Phone calls. Terms follow Dataverse's PhoneCall."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import Owner
from crm_contracts.types import Count, LongText, Open, Personal, Phone, ShortText, UtcDatetime

from .activity import ActivityRecord, Party


class PhoneCallStatus(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    CANCELED = "canceled"


class PhoneCallStatusReason(StrEnum):
    """open: open; completed: made, received; canceled: canceled."""

    OPEN = "open"
    MADE = "made"
    RECEIVED = "received"
    CANCELED = "canceled"


class CallDirection(StrEnum):
    OUTGOING = "outgoing"
    INCOMING = "incoming"


class CallReason(StrEnum):
    """How a call was completed. It becomes the status reason."""

    MADE = "made"
    RECEIVED = "received"


class PhoneCallRecord(ActivityRecord):
    """A planned or completed phone call."""

    status: Open[PhoneCallStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[PhoneCallStatusReason] = Field(description="Detail of the state.")
    subject: ShortText = Field(
        description="Subject of the call, 1 to 200 characters.", examples=["Offer the gold card"]
    )
    direction: Open[CallDirection] = Field(description="Direction: outgoing or incoming.")
    phone_number: Personal[Phone | None] = Field(description="Number of the other party in E.164 form.")
    parties: list[Party] = Field(description="Who calls (`from`) and who is called (`to`), at most 500.")
    scheduled_start_at: UtcDatetime | None = Field(description="When the call is planned to begin.")
    scheduled_end_at: UtcDatetime | None = Field(description="When it is planned to end, never before it begins.")
    started_at: UtcDatetime | None = Field(description="When the call began.")
    ended_at: UtcDatetime | None = Field(description="When the call ended, never before it began.")
    duration_minutes: Count | None = Field(
        description="Duration in whole minutes: from `started_at` to `ended_at` when both are known "
        "(half a minute counts as one), otherwise the value that was entered.",
        examples=[12],
    )
    left_voicemail: bool = Field(description="True if a voice message was left.")
    outcome: ShortText | None = Field(
        description="Result of the call, at most 200 characters.", examples=["Interested"]
    )
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


PHONE_CALL = Entity(
    service="activities",
    name="phone_call",
    collection="phone-calls",
    record=PhoneCallRecord,
    owned=True,
    named="subject",
)


class PhoneCallEvent(Event):
    """Something happened to a phone call."""

    entity: ClassVar[Entity] = PHONE_CALL
    record: PhoneCallRecord


class PhoneCallCreated(PhoneCallEvent):
    """A phone call was planned or logged."""

    type: ClassVar[str] = "crm.activities.phone_call.created.v1"


class PhoneCallUpdated(PhoneCallEvent):
    """Fields of a phone call changed."""

    type: ClassVar[str] = "crm.activities.phone_call.updated.v1"


class PhoneCallDeleted(PhoneCallEvent):
    """A phone call was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.phone_call.deleted.v1"


class PhoneCallAssigned(PhoneCallEvent):
    """A phone call was given to another owner."""

    type: ClassVar[str] = "crm.activities.phone_call.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class PhoneCallCompleted(PhoneCallEvent):
    """A phone call was made or received."""

    type: ClassVar[str] = "crm.activities.phone_call.completed.v1"
    timeline = ("reason", "completed_at")
    headline = "reason"
    reason: Open[CallReason] = Field(description="How it was completed: the status reason.")
    completed_at: UtcDatetime = Field(description="When it was completed.")


class PhoneCallCanceled(PhoneCallEvent):
    """A phone call will not take place."""

    type: ClassVar[str] = "crm.activities.phone_call.canceled.v1"


class PhoneCallReopened(PhoneCallEvent):
    """A completed or canceled phone call is open again."""

    type: ClassVar[str] = "crm.activities.phone_call.reopened.v1"


class PhoneCallRescheduled(PhoneCallEvent):
    """The planned time of a phone call changed."""

    type: ClassVar[str] = "crm.activities.phone_call.rescheduled.v1"
    timeline = ("old_due_at", "new_due_at")
    old_due_at: UtcDatetime | None = Field(description="Planned time before.")
    new_due_at: UtcDatetime | None = Field(description="Planned time now.")


class PhoneCallReminderDue(PhoneCallEvent):
    """The reminder of a phone call is due."""

    type: ClassVar[str] = "crm.activities.phone_call.reminder_due.v1"
    phrase = "reminder"
    timeline = ("remind_at",)
    remind_at: UtcDatetime = Field(description="Time of the reminder.")


class PhoneCallSnapshot(PhoneCallEvent):
    """The current state of a phone call, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.phone_call.snapshot.v1"
