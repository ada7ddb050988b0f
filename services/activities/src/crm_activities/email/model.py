"""The table of e-mails, their bodies, and the changes of an e-mail."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ForeignKey, Index, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, activity_indexes
from crm_activities.db import Base
from crm_activities.email.domain import LIFECYCLE, reason_of
from crm_contracts.activities.email import (
    Automatic,
    Delivery,
    DeliveryPhase,
    EmailDirection,
    EmailReason,
    EmailRecord,
)
from crm_kit.store.columns import reference_indexes, search_index, sorted_indexes, text_enum
from crm_kit.store.refers import ANY, ids_in, refers
from crm_kit.store.searching import Fill, kept_column, search_column, search_rule

NAMES: Final = (
    "(select string_agg(concat_ws(' ', p ->> 'name', p ->> 'address'), ' ') from jsonb_array_elements(new.parties) p)"
)
IDS: Final = (
    "array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p"
    " where p -> 'party' ->> 'id' is not null)"
)
ON_ITS_WAY: Final[Mapping[str, str]] = {"send": "The mail is on its way. Wait until it was sent or has failed."}
REALLY_SENT: Final[Mapping[str, str]] = {"reopen": "The mail was sent or received. Write another one."}


class Email(ActivityType, Base):
    """A mail: a draft, one that was sent, or one that was received."""

    __tablename__ = "email"
    record_model: ClassVar[type[BaseModel]] = EmailRecord
    lifecycle = LIFECYCLE

    direction: Mapped[EmailDirection] = mapped_column(text_enum(EmailDirection))
    sender: Mapped[str | None] = mapped_column(String(254))
    parties: Mapped[list[Any]] = mapped_column(JSONB)
    preview: Mapped[str | None] = mapped_column(String(500))
    body_digest: Mapped[str | None] = mapped_column(String(64))
    message_id: Mapped[str] = mapped_column(String(998))
    in_reply_to: Mapped[str | None] = mapped_column(String(998))
    references: Mapped[list[Any]] = mapped_column(JSONB)
    thread_id: Mapped[UUID]
    mailboxes: Mapped[list[Any]] = mapped_column(JSONB)
    automatic: Mapped[Automatic] = mapped_column(text_enum(Automatic))
    delivery: Mapped[Delivery] = mapped_column(text_enum(Delivery))
    delivery_phase: Mapped[DeliveryPhase | None] = mapped_column(text_enum(DeliveryPhase))
    delivery_answer: Mapped[str | None] = mapped_column(String(500))
    undelivered: Mapped[list[Any]] = mapped_column(JSONB)
    attempts: Mapped[int]
    sent_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    decode_warnings: Mapped[list[Any]] = mapped_column(JSONB)
    description: Mapped[str | None] = mapped_column(Text)

    party_ids: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid()), server_default="{}", info={**kept_column(), **refers(ANY), **ids_in("parties")}, sort_order=98
    )
    """The records that take part, for their timelines, and for what follows a merge."""
    search_text: Mapped[str] = search_column(
        "subject",
        "sender",
        "preview",
        more=(NAMES,),
        fills=(Fill("party_ids", "uuid[] default '{}' not null", IDS),),
    )
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *activity_indexes("email"),
        *sorted_indexes("email", "sent_at", "received_at"),
        *reference_indexes("email", "sender"),
        Index("ix_email_thread_id_happened_at_id", "thread_id", "happened_at", "id"),
        Index("ix_email_message_id", "message_id", unique=True),
        Index("ix_email_party_ids", "party_ids", postgresql_using="gin"),
        search_index(),
    )

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """A mail on its way cannot be sent again, unless its delivery is uncertain. What was sent or received stays that.

        The list of activities of all types does not know the delivery. It shows only moves that are possible in any case.
        """
        delivery, mailboxes = values.get("delivery"), values.get("mailboxes")
        if values["status_reason"] == "pending_send" and delivery != Delivery.UNCERTAIN:
            return ON_ITS_WAY
        if values["status"] == "completed" and (delivery != Delivery.NONE or mailboxes):
            return REALLY_SENT
        return super().ruled_out(values)

    def complete(self, reason: EmailReason | None, at: datetime) -> None:
        """Log the mail as sent or received elsewhere. Its direction determines the default reason."""
        self.move("complete", reason or reason_of(self.direction))
        self.completed_at = at

    def reopen(self) -> None:
        """Make the mail a draft again."""
        super().reopen()
        self.delivery, self.delivery_phase, self.delivery_answer = Delivery.NONE, None, None

    def queue(self, at: datetime) -> None:
        """Have the mail sent. A mail that is sent again keeps its Message-ID, so that a recipient's program sees one mail."""
        self.move("send")
        self.completed_at = at
        self.delivery, self.undelivered, self.attempts = Delivery.QUEUED, [], 0
        self.delivery_phase = self.delivery_answer = None

    def note_attempt(self, attempts: int, phase: DeliveryPhase, answer: str | None) -> None:
        """Keep what is known of the last attempt to deliver."""
        self.attempts, self.delivery_phase = attempts, phase
        self.delivery_answer = answer[:500] if answer else None

    def deliver(self, at: datetime) -> None:
        """The mail server took the mail."""
        self.follow("deliver")
        self.delivery, self.sent_at, self.completed_at = Delivery.SENT, at, at

    def fail(self) -> None:
        """No recipient will get the mail."""
        self.follow("fail")
        self.delivery, self.completed_at = Delivery.FAILED, None


class EmailBody(Base):
    """The body of a mail. It is apart, so that lists and events do not carry it."""

    __tablename__ = "email_body"

    email_id: Mapped[UUID] = mapped_column(
        ForeignKey("email.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        primary_key=True,
        info=refers("email"),
    )
    """Written in the same transaction before the e-mail itself, so that the reference is checked at the commit."""
    html: Mapped[str | None] = mapped_column(Text)
    """Cleaned when it was stored (``crm_activities.mail.html``)."""
    text: Mapped[str | None] = mapped_column(Text)
    reply_text: Mapped[str | None] = mapped_column(Text)
    """The text without what it quotes; null where that is the whole text."""
    calendar: Mapped[str | None] = mapped_column(Text)
    """An iCalendar object that is sent along (RFC 6047)."""
