"""The secret links of feeds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.db import Base


class CalendarFeed(Base):
    """The feed of a user or team. Only a hash of its secret is stored."""

    __tablename__ = "calendar_feed"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_type: Mapped[str] = mapped_column(String(8))
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_by: Mapped[UUID]
    created_at: Mapped[datetime]
