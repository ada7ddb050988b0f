"""Faxes. Terms follow Dataverse's Fax."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import Owner
from crm_contracts.types import LongText, Open, Personal, Phone, ShortText, UtcDatetime

from .activity import ActivityRecord, Party


class FaxStatus(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    CANCELED = "canceled"


class FaxStatusReason(StrEnum):
    """open: open, draft; completed: sent, received; canceled: canceled."""

    OPEN = "open"
    DRAFT = "draft"
    SENT = "sent"
    RECEIVED = "received"
    CANCELED = "canceled"


class FaxDirection(StrEnum):
    OUTGOING = "outgoing"
    INCOMING = "incoming"


class FaxReason(StrEnum):
    """How a fax was completed. It becomes the status reason."""

    SENT = "sent"
    RECEIVED = "received"


class FaxRecord(ActivityRecord):
    """A fax that is written, was sent or was received."""

    status: Open[FaxStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[FaxStatusReason] = Field(description="Detail of the state.")
    subject: ShortText = Field(description="Subject, 1 to 200 characters.", examples=["Your new contract"])
    direction: Open[FaxDirection] = Field(description="Direction: outgoing or incoming.")
    fax_number: Personal[Phone | None] = Field(description="Fax number of the other party in E.164 form.")
    cover_page: LongText | None = Field(
        description="Text of the cover page, at most 32,000 characters; null for none.",
        examples=["For Ada Lovelace, two pages."],
    )
    parties: list[Party] = Field(description="Who sends (`from`) and who receives (`to`), at most 500.")
    description: LongText | None = Field(description="Text of the fax, at most 32,000 characters.")
    document_id: UUID | None = Field(
        description="The attachment with the document that `document` made last; read-only. It may have been deleted since."
    )


FAX = Entity(
    service="activities",
    name="fax",
    collection="faxes",
    record=FaxRecord,
    owned=True,
    named="subject",
)


class FaxEvent(Event):
    """Something happened to a fax."""

    entity: ClassVar[Entity] = FAX
    record: FaxRecord


class FaxCreated(FaxEvent):
    """A fax was planned or logged."""

    type: ClassVar[str] = "crm.activities.fax.created.v1"


class FaxUpdated(FaxEvent):
    """Fields of a fax changed, or its document was made."""

    type: ClassVar[str] = "crm.activities.fax.updated.v1"


class FaxDeleted(FaxEvent):
    """A fax was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.fax.deleted.v1"


class FaxAssigned(FaxEvent):
    """A fax was given to another owner."""

    type: ClassVar[str] = "crm.activities.fax.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class FaxDrafted(FaxEvent):
    """Somebody began to write a fax."""

    type: ClassVar[str] = "crm.activities.fax.drafted.v1"


class FaxCompleted(FaxEvent):
    """A fax was sent or received."""

    type: ClassVar[str] = "crm.activities.fax.completed.v1"
    timeline = ("reason", "completed_at")
    headline = "reason"
    reason: Open[FaxReason] = Field(description="How it was completed: the status reason.")
    completed_at: UtcDatetime = Field(description="When it was completed.")


class FaxCanceled(FaxEvent):
    """A fax will not be sent."""

    type: ClassVar[str] = "crm.activities.fax.canceled.v1"


class FaxReopened(FaxEvent):
    """A completed or canceled fax is open again."""

    type: ClassVar[str] = "crm.activities.fax.reopened.v1"


class FaxRescheduled(FaxEvent):
    """The planned time of a fax changed."""

    type: ClassVar[str] = "crm.activities.fax.rescheduled.v1"
    timeline = ("old_due_at", "new_due_at")
    old_due_at: UtcDatetime | None = Field(description="Planned time before.")
    new_due_at: UtcDatetime | None = Field(description="Planned time now.")


class FaxReminderDue(FaxEvent):
    """The reminder of a fax is due."""

    type: ClassVar[str] = "crm.activities.fax.reminder_due.v1"
    phrase = "reminder"
    timeline = ("remind_at",)
    remind_at: UtcDatetime = Field(description="Time of the reminder.")


class FaxSnapshot(FaxEvent):
    """The current state of a fax, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.fax.snapshot.v1"
