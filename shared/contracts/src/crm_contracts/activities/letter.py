"""Letters. Terms follow Dataverse's Letter."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import Owner
from crm_contracts.types import Address, LongText, Open, Personal, ShortText, UtcDatetime

from .activity import ActivityRecord, Party


class LetterStatus(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    CANCELED = "canceled"


class LetterStatusReason(StrEnum):
    """open: open, draft; completed: sent, received; canceled: canceled."""

    OPEN = "open"
    DRAFT = "draft"
    SENT = "sent"
    RECEIVED = "received"
    CANCELED = "canceled"


class LetterDirection(StrEnum):
    OUTGOING = "outgoing"
    INCOMING = "incoming"


class LetterReason(StrEnum):
    """How a letter was completed. It becomes the status reason."""

    SENT = "sent"
    RECEIVED = "received"


class LetterRecord(ActivityRecord):
    """A letter that is written, was sent or was received."""

    status: Open[LetterStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[LetterStatusReason] = Field(description="Detail of the state.")
    subject: ShortText = Field(description="Subject, 1 to 200 characters.", examples=["Your new contract"])
    direction: Open[LetterDirection] = Field(description="Direction: outgoing or incoming.")
    address: Personal[Address | None] = Field(description="Postal address of the other party.")
    parties: list[Party] = Field(description="Who sends (`from`) and who receives (`to`), at most 500.")
    description: LongText | None = Field(description="Text of the letter, at most 32,000 characters.")
    document_id: UUID | None = Field(
        description="The attachment with the document that `document` made last; read-only. It may have been deleted since."
    )


LETTER = Entity(
    service="activities",
    name="letter",
    collection="letters",
    record=LetterRecord,
    owned=True,
    named="subject",
)


class LetterEvent(Event):
    """Something happened to a letter."""

    entity: ClassVar[Entity] = LETTER
    record: LetterRecord


class LetterCreated(LetterEvent):
    """A letter was planned or logged."""

    type: ClassVar[str] = "crm.activities.letter.created.v1"


class LetterUpdated(LetterEvent):
    """Fields of a letter changed, or its document was made."""

    type: ClassVar[str] = "crm.activities.letter.updated.v1"


class LetterDeleted(LetterEvent):
    """A letter was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.letter.deleted.v1"


class LetterAssigned(LetterEvent):
    """A letter was given to another owner."""

    type: ClassVar[str] = "crm.activities.letter.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class LetterDrafted(LetterEvent):
    """Somebody began to write a letter."""

    type: ClassVar[str] = "crm.activities.letter.drafted.v1"


class LetterCompleted(LetterEvent):
    """A letter was sent or received."""

    type: ClassVar[str] = "crm.activities.letter.completed.v1"
    timeline = ("reason", "completed_at")
    headline = "reason"
    reason: Open[LetterReason] = Field(description="How it was completed: the status reason.")
    completed_at: UtcDatetime = Field(description="When it was completed.")


class LetterCanceled(LetterEvent):
    """A letter will not be sent."""

    type: ClassVar[str] = "crm.activities.letter.canceled.v1"


class LetterReopened(LetterEvent):
    """A completed or canceled letter is open again."""

    type: ClassVar[str] = "crm.activities.letter.reopened.v1"


class LetterRescheduled(LetterEvent):
    """The planned time of a letter changed."""

    type: ClassVar[str] = "crm.activities.letter.rescheduled.v1"
    timeline = ("old_due_at", "new_due_at")
    old_due_at: UtcDatetime | None = Field(description="Planned time before.")
    new_due_at: UtcDatetime | None = Field(description="Planned time now.")


class LetterReminderDue(LetterEvent):
    """The reminder of a letter is due."""

    type: ClassVar[str] = "crm.activities.letter.reminder_due.v1"
    phrase = "reminder"
    timeline = ("remind_at",)
    remind_at: UtcDatetime = Field(description="Time of the reminder.")


class LetterSnapshot(LetterEvent):
    """The current state of a letter, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.letter.snapshot.v1"
