"""The table of stored files."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base


class StoredFile(Base):
    """A file of the storage. ``due_at`` is when it will be deleted; null while something keeps it."""

    __tablename__ = "stored_file"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "due_at", postgresql_where=text("due_at is not null")),)
