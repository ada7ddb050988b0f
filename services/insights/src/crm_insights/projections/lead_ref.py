"""``LeadRef``: the copy of sales' leads."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_insights.db import Base
from crm_kit.copies.declaring import fields, optional, text
from crm_kit.copies.projections import Projected
from crm_kit.copies.survivors import is_gone


class LeadRef(Projected, Base):
    """The owner, the origin and the status of a lead. A merged lead is marked as deleted."""

    __tablename__ = "lead_ref"

    owner_id: Mapped[UUID]
    business_unit_id: Mapped[UUID]
    campaign_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(24))
    created_at: Mapped[datetime]

    __table_args__ = (
        Index(None, "created_at"),
        Index(None, "owner_id", "created_at"),
        Index(None, "business_unit_id", "created_at"),
    )


READ = fields(
    owner_id=UUID, business_unit_id=UUID, campaign_id=optional(UUID), status=text, created_at=datetime.fromisoformat
)


def lead_told(event: Envelope) -> Mapping[str, Any]:
    """Return the copied fields. A merged lead is marked as deleted."""
    return {"deleted": is_gone(event), **READ(event)}
