"""``Deal``: the copy of sales' opportunities."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Numeric, String
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.envelope import Envelope
from crm_kit.copies.declaring import amount, fields, optional, text
from crm_kit.copies.projections import Projected
from crm_kit.copies.survivors import is_gone
from crm_marketing.db import Base


class Deal(Projected, Base):
    """The campaign, the status and the won value of an opportunity, in base currency."""

    __tablename__ = "deal"

    campaign_id: Mapped[UUID | None]
    status: Mapped[str] = mapped_column(String(24))
    won_base: Mapped[Decimal | None] = mapped_column(Numeric(20, 4), comment="null unless it is won")

    __table_args__ = (
        Index("ix_deal_campaign_id", "campaign_id", postgresql_where=sql("campaign_id is not null and not deleted")),
    )


READ = fields(campaign_id=optional(UUID), status=text, actual_value_base=optional(amount))


def deal_told(event: Envelope) -> Mapping[str, Any]:
    """Return the copied fields. A merged deal is marked as deleted, and a deal that is not won has no value."""
    deal = dict(READ(event))
    won = deal.pop("actual_value_base")
    return {**deal, "won_base": won if deal["status"] == "won" else None, "deleted": is_gone(event)}
