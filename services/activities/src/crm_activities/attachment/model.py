"""The tables of attachments, and of deleted records whose files still have to be."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_contracts.activities.attachment import AttachmentRecord
from crm_kit.store.columns import owned_indexes
from crm_kit.store.record import OwnedRecord
from crm_kit.store.refers import ANY, refers


class Attachment(OwnedRecord, Base):
    """A file of a record of any service. Its bytes are in the storage."""

    __tablename__ = "attachment"
    record_model: ClassVar[type[BaseModel]] = AttachmentRecord

    regarding_type: Mapped[str] = mapped_column(String(50))
    regarding_id: Mapped[UUID] = mapped_column(info=refers(ANY))
    name: Mapped[str] = mapped_column(String(255))
    media_type: Mapped[str] = mapped_column(String(127))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    inline: Mapped[bool]
    content_id: Mapped[str | None] = mapped_column(String(998))
    file_key: Mapped[UUID]
    """The row of the stored file."""

    __table_args__ = (*owned_indexes(), Index(None, "regarding_id", "created_at", "id"))


class ErasureTask(Base):
    """A record that was deleted, whose files still have to be."""

    __tablename__ = "erasure_task"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    opened_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(index=True)
