"""``LeadRef``: the copy of sales' leads."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_kit.copies.declaring import fields, optional, text
from crm_kit.copies.projections import Projected
from crm_kit.copies.survivors import survivor_told
from crm_marketing.db import Base


class LeadRef(Projected, Base):
    """The campaign and the status of a lead. Merged leads are not counted."""

    __tablename__ = "lead_ref"

    campaign_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(24))
    merged: Mapped[bool]

    __table_args__ = (
        # The index covers the query of figures: a campaign can bring tens of thousands of leads.
        Index(
            "ix_lead_ref_campaign_id",
            "campaign_id",
            "status",
            postgresql_where=sql("campaign_id is not null and not deleted and not merged"),
        ),
    )


READ = fields(campaign_id=optional(UUID), status=text)


def lead_told(event: Envelope) -> Mapping[str, Any]:
    """Return the copied fields: campaign, status, and whether the lead was merged."""
    return {**READ(event), "merged": survivor_told(event) is not None}
