"""``CaseRef``: the copy of service management's cases, for goals that count resolved cases."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, String
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from crm_kit.copies.declaring import fields, optional, text
from crm_kit.copies.projections import Projected
from crm_sales.db import Base


class CaseRef(Projected, Base):
    """The owner of a case, and when it was resolved."""

    __tablename__ = "case_ref"

    owner_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(String(24))
    resolved_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "ix_case_ref_resolved",
            "owner_id",
            "resolved_at",
            postgresql_where=sql("status = 'resolved' and not deleted"),
        ),
    )


# A reactivated case is not resolved any more. An assigned case counts for its new owner.
CASES = fields(owner_id=UUID, status=text, resolved_at=optional(datetime.fromisoformat))
