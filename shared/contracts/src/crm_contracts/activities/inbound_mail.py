"""Incoming mails as they arrived, for operators. What a mail says is an e-mail; this tells how it became one, or why not."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event
from crm_contracts.records import RecordModel
from crm_contracts.types import Count, Open, ShortText, UtcDatetime


class InboundMailStatus(StrEnum):
    PENDING = "pending"
    READ = "read"
    UNREADABLE = "unreadable"
    IGNORED = "ignored"


class InboundMailStatusReason(StrEnum):
    """pending: received, replayed; read: email, known, own, bounce, complaint; unreadable: failed; ignored: ignored."""

    RECEIVED = "received"
    REPLAYED = "replayed"
    EMAIL = "email"
    KNOWN = "known"
    OWN = "own"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    FAILED = "failed"
    IGNORED = "ignored"


class InboundMailReason(StrEnum):
    """What a mail was found to be: a new e-mail, one that is known from another mailbox, one that we sent ourselves, a report
    that a mail of ours was not delivered, or a report that it was not wanted."""

    EMAIL = "email"
    KNOWN = "known"
    OWN = "own"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"


class InboundMailRecord(RecordModel):
    """A mail that arrived in a mailbox. Its bytes are at `/inbound-mails/{id}/source`."""

    status: Open[InboundMailStatus] = Field(description="State; changes only through commands and by reading.")
    status_reason: Open[InboundMailStatusReason] = Field(description="Detail of the state.")
    mailbox: ShortText = Field(
        description="Mailbox of the settings in which it was found, or the address to which it was delivered.",
        examples=["sales@example.org"],
    )
    received_at: UtcDatetime = Field(description="When it arrived: as the mailbox says, or when it was delivered here.")
    size: Count = Field(description="Size in bytes as it arrived.", examples=[20480])
    complete: bool = Field(
        description="False if only its head was taken, because it is larger than CRM_MAIL_MAX_BYTES. It is still in the mailbox."
    )
    digest: str = Field(
        description="SHA-256 of its bytes as hexadecimal digits.",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    message_id: str | None = Field(
        max_length=998, description="Its Message-ID, or one that was derived from its bytes; null until it was read."
    )
    email_id: UUID | None = Field(description="The e-mail that it became, or of which it is a copy; null for none.")
    about_id: UUID | None = Field(
        description="The e-mail of ours that a bounce or complaint is about; null if unknown."
    )
    warnings: list[ShortText] = Field(description="What had to be guessed to read it, at most 50.")
    problem: ShortText | None = Field(description="Why it could not be read; null unless it is unreadable.")
    read_at: UtcDatetime | None = Field(description="When it was last read or given up.")


INBOUND_MAIL = Entity(
    service="activities",
    name="inbound_mail",
    collection="inbound-mails",
    record=InboundMailRecord,
    owned=False,
    named="mailbox",
    label="Incoming mail",
    setting=True,
)


class InboundMailEvent(Event):
    """Something happened to an incoming mail."""

    entity: ClassVar[Entity] = INBOUND_MAIL
    record: InboundMailRecord


class InboundMailCreated(InboundMailEvent):
    """A mail arrived, and its bytes are stored."""

    type: ClassVar[str] = "crm.activities.inbound_mail.created.v1"


class InboundMailRead(InboundMailEvent):
    """A mail was read."""

    type: ClassVar[str] = "crm.activities.inbound_mail.read.v1"
    reason: Open[InboundMailReason] = Field(description="What it was found to be: the status reason.")


class InboundMailUnreadable(InboundMailEvent):
    """A mail could not be read. It waits for operators."""

    type: ClassVar[str] = "crm.activities.inbound_mail.unreadable.v1"


class InboundMailReplayed(InboundMailEvent):
    """A mail is to be read again."""

    type: ClassVar[str] = "crm.activities.inbound_mail.replayed.v1"


class InboundMailIgnored(InboundMailEvent):
    """A mail is not to be read."""

    type: ClassVar[str] = "crm.activities.inbound_mail.ignored.v1"


class InboundMailSnapshot(InboundMailEvent):
    """The current state of an incoming mail, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.inbound_mail.snapshot.v1"
