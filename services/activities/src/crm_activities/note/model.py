"""The table of notes."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_contracts.activities.note import NoteRecord
from crm_kit.store.columns import owned_indexes, search_index
from crm_kit.store.record import OwnedRecord
from crm_kit.store.refers import ANY, refers
from crm_kit.store.searching import search_column, search_rule


class Note(OwnedRecord, Base):
    """A text on a record of any service."""

    __tablename__ = "note"
    record_model: ClassVar[type[BaseModel]] = NoteRecord
    called = None

    regarding_type: Mapped[str] = mapped_column(String(50))
    regarding_id: Mapped[UUID] = mapped_column(info=refers(ANY))
    text: Mapped[str] = mapped_column(Text)
    pinned: Mapped[bool]

    search_text: Mapped[str] = search_column("text")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (*owned_indexes(), Index(None, "regarding_id", "created_at", "id"), search_index())
