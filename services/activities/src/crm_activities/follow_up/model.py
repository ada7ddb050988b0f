"""The table of follow-up rules."""

from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_contracts.activities.activity import Priority
from crm_contracts.activities.follow_up_rule import FollowUpRuleRecord
from crm_kit.store.columns import text_enum
from crm_kit.store.record import Record


class FollowUpRule(Record, Base):
    """A rule: after this event, create a task for the owner of its record."""

    __tablename__ = "follow_up_rule"
    record_model: ClassVar[type[BaseModel]] = FollowUpRuleRecord

    event_type: Mapped[str] = mapped_column(Text)
    filter: Mapped[dict[str, Any] | None]
    active: Mapped[bool]
    subject: Mapped[str] = mapped_column(String(200), comment="{name} stands for the name of the record")
    days: Mapped[int] = mapped_column(comment="from the event to the day the task is due")
    priority: Mapped[Priority] = mapped_column(text_enum(Priority))
    category: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        CheckConstraint("days between 0 and 3650", name="days"),
        Index(None, "event_type", "id"),
        Index(None, "created_at", "id"),
    )
