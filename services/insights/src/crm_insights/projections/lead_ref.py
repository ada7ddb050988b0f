"""``LeadRef``: what insights knows of every lead of sales."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_insights.db import Base
from crm_kit.copies.projections import Projected, project
from crm_kit.copies.survivors import survivor_told
from crm_kit.events.consumers import Unprocessable
from crm_kit.work.uow import UnitOfWork


class LeadRef(Projected, Base):
    """One lead: whose it is, where it came from and how far it came. One that was merged away is deleted here."""

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


async def keep_leads(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """One row per lead. Leads come in by tens of thousands, so their events are not read through the contract."""
    await project(uow, LeadRef, [(event, _columns(event)) for event in events])


def _columns(event: Envelope) -> dict[str, Any]:
    record = event.data["record"]
    try:
        campaign_id, status = record["campaign_id"], record["status"]
        if not isinstance(status, str):
            raise TypeError
        return {
            "deleted": ".deleted.v" in event.type or survivor_told(event) is not None,
            "owner_id": UUID(record["owner_id"]),
            "business_unit_id": UUID(record["business_unit_id"]),
            "campaign_id": None if campaign_id is None else UUID(campaign_id),
            "status": status,
            "created_at": datetime.fromisoformat(record["created_at"]),
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        # No retry will mend it; and what the field holds is not for the log.
        raise Unprocessable("data.record lacks a field that leads have, or it is not what it should be") from error
