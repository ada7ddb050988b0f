"""``Deal``: the copy of sales' opportunities."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Numeric, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.opportunity import (
    OpportunityDeleted,
    OpportunityEvent,
    OpportunityMerged,
    OpportunityRecord,
    OpportunitySnapshot,
)
from crm_kit.copies.projections import Projected, project
from crm_kit.work.uow import UnitOfWork
from crm_marketing.db import Base


class Deal(Projected, Base):
    """The campaign, the status and the won value of an opportunity, in base currency."""

    __tablename__ = "deal"

    campaign_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(24))
    won_base: Mapped[Decimal | None] = mapped_column(Numeric(20, 4), comment="null unless it is won")

    __table_args__ = (
        Index("ix_deal_campaign_id", "campaign_id", postgresql_where=text("campaign_id is not null and not deleted")),
    )


async def keep_deals(events: Sequence[OpportunityEvent], uow: UnitOfWork) -> None:
    """Keep one row per opportunity. A reopened deal is open again. A corrected deal has its new value."""
    await project(uow, Deal, [(event, {"deleted": _is_gone(event), **_columns(event.record)}) for event in events])


def _is_gone(event: OpportunityEvent) -> bool:
    """Return whether the deal was deleted, or merged into another. A merged deal is marked as deleted."""
    merged = isinstance(event, OpportunityMerged | OpportunitySnapshot) and event.survivor_id is not None
    return merged or isinstance(event, OpportunityDeleted)


def _columns(record: OpportunityRecord) -> dict[str, Any]:
    won = record.actual_value_base if record.status == "won" else None
    return {
        "campaign_id": record.campaign_id,
        "status": record.status,
        "won_base": None if won is None else won.amount,
    }
