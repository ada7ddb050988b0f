"""``LeadRef``: what marketing knows of every lead of sales."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import Projected, project
from crm_kit.copies.survivors import survivor_told
from crm_kit.events.consumers import Unprocessable
from crm_kit.work.uow import UnitOfWork
from crm_marketing.db import Base


class LeadRef(Projected, Base):
    """One lead: which campaign brought it, and how far it came. One that was merged away counts no more."""

    __tablename__ = "lead_ref"

    campaign_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(24))
    merged: Mapped[bool]

    __table_args__ = (
        # All that figures ask of a lead, so that they never read the table: a campaign may bring tens of thousands.
        Index(
            "ix_lead_ref_campaign_id",
            "campaign_id",
            "status",
            postgresql_where=text("campaign_id is not null and not deleted and not merged"),
        ),
    )


async def keep_leads(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """One row per lead. Leads come in by tens of thousands, so their events are not read through the contract."""
    await project(uow, LeadRef, [(event, _columns(event)) for event in events])


def _columns(event: Envelope) -> dict[str, Any]:
    record = event.data["record"]
    try:
        campaign_id, status = record["campaign_id"], record["status"]
        return {
            "campaign_id": None if campaign_id is None else UUID(campaign_id),
            "status": status,
            "merged": survivor_told(event) is not None,
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        # No retry will mend it; and what the field holds is not for the log.
        raise Unprocessable("data.record has no status, or no campaign_id that is an id or null") from error
