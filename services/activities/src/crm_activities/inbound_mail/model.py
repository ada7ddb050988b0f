"""The table of incoming mails, their bytes, and the cursors of mailboxes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import BigInteger, Index, LargeBinary, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_activities.inbound_mail.domain import LIFECYCLE
from crm_contracts.activities.inbound_mail import InboundMailReason, InboundMailRecord
from crm_kit.store.columns import record_indexes, reference_indexes
from crm_kit.store.record import Record, Stateful
from crm_kit.store.refers import refers

LONGEST_PROBLEM: Final = 200


class InboundSource(Base):
    """The bytes of a mail as it arrived. They are stored before anything is read, and several mailboxes may share them."""

    __tablename__ = "inbound_source"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class InboundMail(Record, Stateful, Base):
    """A mail that arrived in a mailbox."""

    __tablename__ = "inbound_mail"
    record_model: ClassVar[type[BaseModel]] = InboundMailRecord
    lifecycle = LIFECYCLE
    called = "mailbox"

    mailbox: Mapped[str] = mapped_column(String(200))
    received_at: Mapped[datetime]
    size: Mapped[int] = mapped_column(BigInteger)
    complete: Mapped[bool]
    digest: Mapped[str] = mapped_column(String(64))
    message_id: Mapped[str | None] = mapped_column(String(998))
    email_id: Mapped[UUID | None] = mapped_column(info=refers("email"))
    about_id: Mapped[UUID | None] = mapped_column(info=refers("email"))
    warnings: Mapped[list[Any]] = mapped_column(JSONB)
    problem: Mapped[str | None] = mapped_column(String(LONGEST_PROBLEM))
    read_at: Mapped[datetime | None]
    source: Mapped[UUID] = mapped_column(index=True)
    """The id of its bytes."""

    __table_args__ = (
        *record_indexes(),
        *reference_indexes("inbound_mail", "email_id", "about_id"),
        Index("ix_inbound_mail_received_at_id", "received_at", "id"),
        Index("ix_inbound_mail_mailbox_digest", "mailbox", "digest", unique=True),
        Index("ix_inbound_mail_status_id", "status", "id"),
        Index("ix_inbound_mail_pending", "created_at", "id", postgresql_where=text("status = 'pending'")),
    )

    def take(self, reason: InboundMailReason, message_id: str, warnings: Sequence[str], at: datetime) -> None:
        """The mail was read."""
        self.follow("take", reason)
        self.message_id, self.warnings, self.problem, self.read_at = message_id, list(warnings), None, at

    def give_up(self, problem: str, at: datetime) -> None:
        """The mail could not be read."""
        self.follow("give_up")
        self.problem, self.read_at = problem[:LONGEST_PROBLEM], at

    def replay(self) -> None:
        """Have the mail read again."""
        self.move("replay")
        self.problem = None

    def ignore(self) -> None:
        """Have the mail left alone."""
        self.move("ignore")


class MailboxCursor(Base):
    """How far a mailbox was read, and which worker reads it now."""

    __tablename__ = "mailbox_cursor"

    mailbox: Mapped[str] = mapped_column(String(200), primary_key=True)
    uid_validity: Mapped[int] = mapped_column(BigInteger)
    last_uid: Mapped[int] = mapped_column(BigInteger)
    claim: Mapped[UUID | None]
    claimed_until: Mapped[datetime | None]
    polled_at: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(Text)
