"""``Deal``: the copy of sales' opportunities, except their stage visits."""

from collections.abc import Sequence
from datetime import datetime
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
from crm_insights.db import Base
from crm_insights.projections.stage_visit import keep_visits
from crm_kit.copies.projections import Projected, project
from crm_kit.store.columns import PercentType
from crm_kit.work.uow import UnitOfWork


class Deal(Projected, Base):
    """The owner, the stage and the value of an opportunity, in base currency."""

    __tablename__ = "deal"

    owner_id: Mapped[UUID]
    business_unit_id: Mapped[UUID]
    campaign_id: Mapped[UUID | None]
    originating_lead_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(24))
    status_reason: Mapped[str] = mapped_column(String(40))
    stage_id: Mapped[UUID]
    probability: Mapped[Decimal] = mapped_column(PercentType())
    estimated_base: Mapped[Decimal | None] = mapped_column(Numeric(20, 4))
    actual_base: Mapped[Decimal | None] = mapped_column(Numeric(20, 4), comment="null unless it is won")
    # For a deal imported from another system: when it was opened there.
    created_at: Mapped[datetime]

    __table_args__ = (
        Index(None, "created_at"),
        Index(None, "owner_id", "created_at"),
        Index(None, "business_unit_id", "created_at"),
        Index(
            "ix_deal_originating_lead_id",
            "originating_lead_id",
            postgresql_where=text("originating_lead_id is not null"),
        ),
    )


async def keep_deals(events: Sequence[OpportunityEvent], uow: UnitOfWork) -> None:
    """Keep one row per opportunity and one per stage visit, from the newest version of each record."""
    await project(uow, Deal, [(event, {"deleted": _is_gone(event), **_columns(event.record)}) for event in events])
    await keep_visits(uow, events)


def _is_gone(event: OpportunityEvent) -> bool:
    """Return whether the deal was deleted, or merged into another. A merged deal is marked as deleted."""
    merged = isinstance(event, OpportunityMerged | OpportunitySnapshot) and event.survivor_id is not None
    return merged or isinstance(event, OpportunityDeleted)


def _columns(record: OpportunityRecord) -> dict[str, Any]:
    estimated = record.estimated_value_base
    actual = record.actual_value_base if record.status == "won" else None
    return {
        "owner_id": record.owner_id,
        "business_unit_id": record.business_unit_id,
        "campaign_id": record.campaign_id,
        "originating_lead_id": record.originating_lead_id,
        "status": record.status,
        "status_reason": record.status_reason,
        "stage_id": record.stage_id,
        "probability": record.probability,
        "estimated_base": None if estimated is None else estimated.amount,
        "actual_base": None if actual is None else actual.amount,
        "created_at": _opened_at(record),
    }


def _opened_at(record: OpportunityRecord) -> datetime:
    """Return when work on the deal began. For an imported deal this is before the record was created."""
    return min([record.created_at, *(visit.entered_at for visit in record.stages[:1])])
