"""The table of campaigns, and the changes of a campaign."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.marketing import CampaignRecord, CampaignType
from crm_contracts.money import Money
from crm_kit.store.columns import (
    PercentType,
    money_columns,
    name_indexes,
    owned_indexes,
    search_index,
    sorted_indexes,
    text_enum,
)
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.searching import search_column, search_rule
from crm_marketing.campaign.domain import LIFECYCLE
from crm_marketing.db import Base


class Campaign(OwnedRecord, Stateful, Base):
    """A marketing campaign, or a template for campaigns."""

    __tablename__ = "campaign"
    numbered = "CMP"
    record_model: ClassVar[type[BaseModel]] = CampaignRecord
    lifecycle = LIFECYCLE
    money_fields: ClassVar[tuple[str, ...]] = ("budget", "other_cost", "expected_revenue")

    number: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    code: Mapped[str | None] = mapped_column(String(200))
    type: Mapped[CampaignType | None] = mapped_column(text_enum(CampaignType))
    channels: Mapped[list[Any]] = mapped_column(JSONB)
    objective: Mapped[str | None] = mapped_column(Text)
    offer: Mapped[str | None] = mapped_column(Text)
    proposed_start: Mapped[date | None]
    proposed_end: Mapped[date | None]
    budget: Mapped[Money | None] = money_columns("budget")
    other_cost: Mapped[Money | None] = money_columns("other_cost")
    expected_response: Mapped[Decimal | None] = mapped_column(PercentType())
    expected_revenue: Mapped[Money | None] = money_columns("expected_revenue")
    is_template: Mapped[bool]
    description: Mapped[str | None] = mapped_column(Text)
    actual_start: Mapped[date | None]
    actual_end: Mapped[date | None]

    search_text: Mapped[str] = search_column("name", "code", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *name_indexes("campaign", "name"),
        CheckConstraint("proposed_end >= proposed_start", name="proposed_end"),
        *owned_indexes(),
        Index(None, "name", "id"),
        *sorted_indexes("campaign", "proposed_start"),
        search_index(),
    )

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Rule out launching a template: it is copied instead."""
        return {"launch": "Copy the template and launch the copy."} if values["is_template"] else {}

    def ready(self) -> None:
        """Mark the campaign as ready to launch."""
        self.move("ready")

    def launch(self, on: date) -> None:
        """Launch the campaign."""
        self.move("launch")
        self.actual_start = on

    def suspend(self) -> None:
        """Suspend the campaign."""
        self.move("suspend")

    def resume(self) -> None:
        """Resume the campaign."""
        self.move("resume")

    def complete(self, on: date) -> None:
        """Complete the campaign."""
        self.move("complete")
        self.actual_end = on

    def cancel(self, on: date) -> None:
        """Cancel the campaign."""
        self.move("cancel")
        self.actual_end = on
