"""The tables behind e-mails: conversations, the queue of mails to send, and what was answered by a program."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_kit.store.refers import refers


class EmailThread(Base):
    """A conversation. Its row is locked while mails join it, so that two of them join it one after the other."""

    __tablename__ = "email_thread"

    id: Mapped[UUID] = mapped_column(primary_key=True)


class EmailReference(Base):
    """The conversation of a Message-ID."""

    __tablename__ = "email_reference"
    __table_args__ = (Index("ix_email_reference_thread_id", "thread_id"),)

    message_id: Mapped[str] = mapped_column(Text, primary_key=True)
    thread_id: Mapped[UUID]


class OutgoingMail(Base):
    """A mail that waits to be sent, or is being sent."""

    __tablename__ = "outgoing_mail"
    __table_args__ = (Index("ix_outgoing_mail_due_at", "due_at"),)

    email_id: Mapped[UUID] = mapped_column(
        ForeignKey("email.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        primary_key=True,
        info=refers("email"),
    )
    recipients: Mapped[list[Any]] = mapped_column(JSONB)
    """The addresses that still have to get it. The server may take some and put off others."""
    null_sender: Mapped[bool]
    """Whether the envelope has no sender, as that of an automatic reply (RFC 3834 §3.3)."""
    attempts: Mapped[int]
    queued_at: Mapped[datetime]
    due_at: Mapped[datetime]
    """When it may be tried. While it is claimed: when another worker may take it over."""
    phase: Mapped[str | None] = mapped_column(String(16))
    claim: Mapped[UUID | None]


class AutomaticMail(Base):
    """When a mailbox last answered a sender by itself."""

    __tablename__ = "automatic_mail"
    __table_args__ = (Index("ix_automatic_mail_at", "at"),)

    mailbox: Mapped[str] = mapped_column(String(254), primary_key=True)
    recipient: Mapped[str] = mapped_column(String(254), primary_key=True)
    at: Mapped[datetime]
