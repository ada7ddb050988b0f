"""The tables of types of custom activities and of the versions of their schemas."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.custom_type.domain import LIFECYCLE
from crm_activities.db import Base
from crm_contracts.activities.activity_type import ActivityTypeRecord
from crm_kit.store.record import Record, Stateful


class CustomType(Record, Stateful, Base):
    """A type of custom activities."""

    __tablename__ = "activity_type"
    record_model: ClassVar[type[BaseModel]] = ActivityTypeRecord
    lifecycle = LIFECYCLE

    name: Mapped[str] = mapped_column(String(50), unique=True)
    labels: Mapped[dict[str, Any]]
    description: Mapped[str | None] = mapped_column(Text)
    values_schema: Mapped[dict[str, Any]]
    schema_version: Mapped[int]

    __table_args__ = (Index(None, "created_at", "id"), Index(None, "name", "id"))


class TypeVersion(Base):
    """A version of the schema of a type. It never changes, so that values stay readable with it."""

    __tablename__ = "activity_type_version"

    type_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    values_schema: Mapped[dict[str, Any]] = mapped_column(JSON, comment="keeps the order of the fields")
    published_at: Mapped[datetime]
