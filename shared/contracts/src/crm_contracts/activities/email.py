"""E-mails, sent and received. Terms follow Dataverse's Email, and RFC 5322 for the fields of a message."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final
from uuid import UUID

from pydantic import Field, StringConstraints

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import Owner
from crm_contracts.types import Count, LongText, Open, Personal, Shape, ShortText, UtcDatetime

from .activity import ActivityRecord, Party

PREVIEW: Final = 500
"""The most characters of a body that a record, and so an event, shows."""
MOST_REFERENCES: Final = 100
"""The most Message-IDs of `references`. Of more, the first and the last are kept, as RFC 5322 lets a long chain be cut."""


class EmailStatus(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    CANCELED = "canceled"


class EmailStatusReason(StrEnum):
    """open: draft, failed; completed: sent, received, pending_send; canceled: canceled."""

    DRAFT = "draft"
    FAILED = "failed"
    SENT = "sent"
    RECEIVED = "received"
    PENDING_SEND = "pending_send"
    CANCELED = "canceled"


class EmailDirection(StrEnum):
    OUTGOING = "outgoing"
    INCOMING = "incoming"


class EmailReason(StrEnum):
    """How an e-mail was completed without being sent from here. It becomes the status reason."""

    SENT = "sent"
    RECEIVED = "received"


class Automatic(StrEnum):
    """Whether a program wrote the mail by itself (RFC 3834 §5)."""

    NO = "no"
    AUTO_GENERATED = "auto_generated"
    AUTO_REPLIED = "auto_replied"


class Delivery(StrEnum):
    """What is known of the delivery of an outgoing mail."""

    NONE = "none"
    QUEUED = "queued"
    SENT = "sent"
    UNCERTAIN = "uncertain"
    FAILED = "failed"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class DeliveryPhase(StrEnum):
    """How far the last attempt to deliver came (RFC 5321)."""

    SETUP = "setup"
    CONNECT = "connect"
    LOGIN = "login"
    ENVELOPE = "envelope"
    DATA = "data"


MessageId = Annotated[str, StringConstraints(min_length=3, max_length=998)]
"""A Message-ID with its angle brackets, as it was written: `<1@example.org>`."""
MailAddress = Annotated[str, StringConstraints(min_length=1, max_length=254)]
"""An address of a mail as it was written. What others sent may not be valid."""


class EmailParty(Party):
    """A sender or recipient of an e-mail."""

    address: Personal[MailAddress | None] = Field(description="E-mail address.", examples=["ada@example.org"])


class Undelivered(Shape):
    """A recipient whom the mail server refused."""

    address: Personal[MailAddress] = Field(description="Address that was refused.", examples=["ada@example.org"])
    answer: Personal[str] = Field(
        max_length=500, description="Answer of the mail server.", examples=["550 5.1.1 no such user"]
    )


class EmailRecord(ActivityRecord):
    """An e-mail: a draft, one that was sent, or one that was received. Its body is read by a path of its own."""

    status: Open[EmailStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[EmailStatusReason] = Field(description="Detail of the state.")
    subject: ShortText = Field(description="Subject, 1 to 200 characters.", examples=["Your gold card"])
    direction: Open[EmailDirection] = Field(description="`outgoing` or `incoming`; read-only.")
    sender: Personal[MailAddress | None] = Field(
        description="Address of the sender; null in a draft for the first sender of the settings.",
        examples=["sales@example.org"],
    )
    parties: list[EmailParty] = Field(
        description="Sender of an incoming mail (`from`) and recipients (`to`, `cc`, `bcc`), at most 500."
    )
    preview: Personal[str | None] = Field(
        max_length=PREVIEW,
        description="The first 500 characters of the text, without what it quotes. The body is at `/emails/{id}/body`.",
    )
    body_digest: str | None = Field(
        description="SHA-256 of the body as hexadecimal digits, which changes with it; null without a body; read-only."
    )
    message_id: MessageId = Field(
        description="Message-ID (RFC 5322 §3.6.4), unique among all e-mails; read-only.", examples=["<1@example.org>"]
    )
    in_reply_to: MessageId | None = Field(description="Message-ID of the mail that it answers; read-only.")
    references: list[MessageId] = Field(
        description="Message-IDs of the conversation so far, oldest first, at most 100; read-only."
    )
    thread_id: UUID = Field(
        description="Conversation: mails of which one names another in `references` share it, never those with an equal "
        "subject; read-only."
    )
    mailboxes: list[ShortText] = Field(description="Mailboxes in which it was found; read-only.")
    automatic: Open[Automatic] = Field(description="Whether a program wrote it by itself (RFC 3834); read-only.")
    delivery: Open[Delivery] = Field(description="What is known of its delivery; read-only.")
    delivery_phase: Open[DeliveryPhase] | None = Field(
        description="How far the last attempt came; null before the first; read-only."
    )
    delivery_answer: Personal[str | None] = Field(
        max_length=500, description="Last answer of the mail server, or why it could not be asked; read-only."
    )
    undelivered: list[Undelivered] = Field(description="Recipients whom the mail server refused; read-only.")
    attempts: Count = Field(description="Attempts to deliver it; read-only.")
    sent_at: UtcDatetime | None = Field(description="When the mail server took it; read-only.")
    received_at: UtcDatetime | None = Field(description="When it was received; read-only.")
    decode_warnings: list[ShortText] = Field(description="What had to be guessed to read an incoming mail; read-only.")
    description: LongText | None = Field(
        description="Note about the mail, which is not sent; at most 32,000 characters."
    )


EMAIL = Entity(service="activities", name="email", collection="emails", record=EmailRecord, owned=True, named="subject")


class EmailEvent(Event):
    """Something happened to an e-mail."""

    entity: ClassVar[Entity] = EMAIL
    record: EmailRecord


class EmailCreated(EmailEvent):
    """An e-mail was drafted or logged."""

    type: ClassVar[str] = "crm.activities.email.created.v1"


class EmailReceived(EmailEvent):
    """An e-mail arrived in a mailbox. It is the first event of the record."""

    type: ClassVar[str] = "crm.activities.email.received.v1"
    timeline = ("received_at",)
    received_at: UtcDatetime = Field(description="When it was received.")


class EmailUpdated(EmailEvent):
    """Fields of an e-mail changed."""

    type: ClassVar[str] = "crm.activities.email.updated.v1"


class EmailDeleted(EmailEvent):
    """An e-mail was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.email.deleted.v1"


class EmailAssigned(EmailEvent):
    """An e-mail was given to another owner."""

    type: ClassVar[str] = "crm.activities.email.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class EmailQueued(EmailEvent):
    """An e-mail is to be sent."""

    type: ClassVar[str] = "crm.activities.email.queued.v1"
    phrase = "waits to be sent"


class EmailDeferred(EmailEvent):
    """An attempt to deliver an e-mail failed for now. It is tried again."""

    type: ClassVar[str] = "crm.activities.email.deferred.v1"
    phrase = "could not be delivered yet"
    timeline = ("phase", "next_attempt_at")
    headline = "phase"
    phase: Open[DeliveryPhase] = Field(description="How far the attempt came.")
    next_attempt_at: UtcDatetime = Field(description="When it is tried again.")


class EmailSent(EmailEvent):
    """The mail server took an e-mail for at least one recipient."""

    type: ClassVar[str] = "crm.activities.email.sent.v1"
    timeline = ("sent_at",)
    sent_at: UtcDatetime = Field(description="When the mail server took it.")


class EmailUncertain(EmailEvent):
    """The mail server got an e-mail and did not answer. It may have been delivered, so it is not sent again by itself."""

    type: ClassVar[str] = "crm.activities.email.uncertain.v1"
    phrase = "may have been delivered"


class EmailFailed(EmailEvent):
    """An e-mail was refused for good, or could not be delivered in time."""

    type: ClassVar[str] = "crm.activities.email.failed.v1"
    timeline = ("phase",)
    headline = "phase"
    phase: Open[DeliveryPhase] = Field(description="How far the last attempt came.")


class EmailBounced(EmailEvent):
    """A mail server reported that an e-mail could not be delivered (RFC 3464)."""

    type: ClassVar[str] = "crm.activities.email.bounced.v1"


class EmailComplained(EmailEvent):
    """A recipient reported an e-mail as unwanted (RFC 5965)."""

    type: ClassVar[str] = "crm.activities.email.complained.v1"
    phrase = "was reported as unwanted"


class EmailCompleted(EmailEvent):
    """An e-mail that was sent or received elsewhere was logged as completed."""

    type: ClassVar[str] = "crm.activities.email.completed.v1"
    timeline = ("reason", "completed_at")
    headline = "reason"
    reason: Open[EmailReason] = Field(description="How it was completed: the status reason.")
    completed_at: UtcDatetime = Field(description="When it was completed.")


class EmailCanceled(EmailEvent):
    """An e-mail will not be sent."""

    type: ClassVar[str] = "crm.activities.email.canceled.v1"


class EmailReopened(EmailEvent):
    """A canceled or logged e-mail is a draft again."""

    type: ClassVar[str] = "crm.activities.email.reopened.v1"


class EmailRescheduled(EmailEvent):
    """The planned time of an e-mail changed."""

    type: ClassVar[str] = "crm.activities.email.rescheduled.v1"
    timeline = ("old_due_at", "new_due_at")
    old_due_at: UtcDatetime | None = Field(description="Planned time before.")
    new_due_at: UtcDatetime | None = Field(description="Planned time now.")


class EmailReminderDue(EmailEvent):
    """The reminder of an e-mail is due."""

    type: ClassVar[str] = "crm.activities.email.reminder_due.v1"
    phrase = "reminder"
    timeline = ("remind_at",)
    remind_at: UtcDatetime = Field(description="Time of the reminder.")


class EmailSnapshot(EmailEvent):
    """The current state of an e-mail, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.email.snapshot.v1"
