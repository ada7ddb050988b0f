"""The table of templates of e-mails."""

from typing import ClassVar

from pydantic import BaseModel
from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_contracts.activities.email_template import EmailTemplateRecord
from crm_kit.store.columns import name_indexes
from crm_kit.store.record import Record


class EmailTemplate(Record, Base):
    """A text from which mails are written."""

    __tablename__ = "email_template"
    record_model: ClassVar[type[BaseModel]] = EmailTemplateRecord

    name: Mapped[str] = mapped_column(String(200))
    language: Mapped[str | None] = mapped_column(String(35))
    regarding_type: Mapped[str | None] = mapped_column(String(50))
    subject: Mapped[str] = mapped_column(String(200))
    html: Mapped[str | None] = mapped_column(Text)
    text: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (*name_indexes("email_template", "name"), Index(None, "created_at", "id"))
