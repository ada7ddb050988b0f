"""``CaseRef``: what sales knows of the cases of service management, so that goals can count those that are resolved."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_kit.copies.projections import Projected, project
from crm_kit.events.consumers import Unprocessable
from crm_kit.work.uow import UnitOfWork
from crm_sales.db import Base


class CaseRef(Projected, Base):
    """One case: whose it is, and when it was resolved."""

    __tablename__ = "case_ref"

    owner_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(String(24))
    resolved_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_case_ref_resolved",
            "owner_id",
            "resolved_at",
            postgresql_where=text("status = 'resolved' and not deleted"),
        ),
    )


async def keep_cases(events: Sequence[Envelope], uow: UnitOfWork) -> None:
    """One row per case: one that is reactivated is not resolved any more, one that is assigned counts for its new owner."""
    await project(uow, CaseRef, [(event, _columns(event)) for event in events])


def _columns(event: Envelope) -> dict[str, Any]:
    record = event.data["record"]
    try:
        return {
            "owner_id": UUID(record["owner_id"]),
            "status": record["status"],
            "resolved_at": record["resolved_at"],
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        # No retry will mend it; and what the field holds is not for the log.
        raise Unprocessable("data.record has no status, resolved_at, or owner_id that is an id") from error
