"""The tables of activity rules and of their runs."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base
from crm_contracts.activities.activity import Priority
from crm_contracts.activities.activity_rule import ActivityRuleRecord, DueUnit, MadeType
from crm_kit.store.columns import Timestamp, text_enum
from crm_kit.store.record import Record
from crm_kit.store.refers import refers


class ActivityRule(Record, Base):
    """A rule: after this event, create an activity about its record."""

    __tablename__ = "activity_rule"
    record_model: ClassVar[type[BaseModel]] = ActivityRuleRecord

    name: Mapped[str] = mapped_column(String(200))
    event_type: Mapped[str] = mapped_column(Text)
    filter: Mapped[dict[str, Any] | None]
    active: Mapped[bool]
    activity_type: Mapped[MadeType] = mapped_column(text_enum(MadeType))
    subject: Mapped[str] = mapped_column(String(200), comment="{name} stands for the name of the record")
    description: Mapped[str | None] = mapped_column(Text)
    due_after: Mapped[int] = mapped_column(comment="days from the event to the day the activity is due")
    due_unit: Mapped[DueUnit] = mapped_column(text_enum(DueUnit))
    priority: Mapped[Priority] = mapped_column(text_enum(Priority))
    category: Mapped[str | None] = mapped_column(String(200))
    assigned_to_type: Mapped[str | None] = mapped_column(String(8))
    assigned_to_id: Mapped[UUID | None] = mapped_column(info=refers("user", "team"))
    since: Mapped[datetime] = mapped_column(comment="events that happened earlier are not for this rule")

    __table_args__ = (
        CheckConstraint("due_after between 0 and 3650", name="due_after"),
        Index(None, "event_type", "id"),
        Index(None, "created_at", "id"),
        Index(None, "event_type", unique=False, postgresql_where=text("active")),
    )


class RuleRun(Base):
    """One event for which one rule creates an activity."""

    __tablename__ = "activity_rule_run"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    rule_id: Mapped[UUID]
    event_id: Mapped[UUID]
    record_type: Mapped[str] = mapped_column(Text)
    record_id: Mapped[UUID]
    event: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True), comment="what the activity is made of; null when it is made"
    )
    state: Mapped[str] = mapped_column(String(8), comment="pending, done, failed or skipped")
    error: Mapped[str | None] = mapped_column(Text)
    activity_type: Mapped[str | None] = mapped_column(String(50))
    activity_id: Mapped[UUID | None]
    due_at: Mapped[datetime | None] = mapped_column(comment="when it is tried; null when it is not")
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("rule_id", "event_id"),
        Index(None, "rule_id", "created_at", "id"),
        Index(None, "created_at"),
        Index(None, "due_at", postgresql_where=text("due_at is not null")),
    )


FOLLOW_UP_RULES = Table(
    "follow_up_rule",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("filter", JSONB(none_as_null=True)),
    Column("active", Boolean, nullable=False),
    Column("subject", String(200), nullable=False, comment="{name} stands for the name of the record"),
    Column("days", Integer, nullable=False, comment="from the event to the day the task is due"),
    Column("priority", text_enum(Priority), nullable=False),
    Column("category", String(200)),
    Column("created_at", Timestamp(), nullable=False),
    Column("created_by", Uuid),
    Column("modified_at", Timestamp(), nullable=False),
    Column("modified_by", Uuid),
    CheckConstraint("days between 0 and 3650", name="days"),
    Index(None, "event_type", "id"),
    Index(None, "created_at", "id"),
)
"""The rules of the release before, which may run beside this one, and again after a roll-back. The next release drops them."""
