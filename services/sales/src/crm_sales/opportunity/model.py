"""The table of opportunities, and the changes of an opportunity."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Numeric, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.choices import CloseOutcome, EstimatedValueSource, LeadSource, Rating
from crm_contracts.sales.opportunity import ClosedQuote, OpportunityClose, OpportunityRecord, StageVisit
from crm_contracts.sales.pricing import PricedLine
from crm_contracts.types import utc_text
from crm_kit.store.columns import (
    PercentType,
    money_columns,
    name_indexes,
    owned_indexes,
    reference_indexes,
    search_index,
    sorted_indexes,
    text_enum,
)
from crm_kit.store.record import Mergeable
from crm_kit.store.refers import reference, references, refers
from crm_kit.store.searching import search_column, search_rule
from crm_sales.customer_link.model import BelongsToCustomer, customer_indexes
from crm_sales.db import Base
from crm_sales.opportunity.domain import LIFECYCLE, require_kept, with_competitor
from crm_sales.pricing.model import products_of, sum_of
from crm_sales.sales_stage.model import SalesStage


class Opportunity(Mergeable, BelongsToCustomer, Base):
    """A deal that we want to win."""

    __tablename__ = "opportunity"
    numbered = "OPP"
    record_model: ClassVar[type[BaseModel]] = OpportunityRecord
    lifecycle = LIFECYCLE
    merges_from = frozenset({"open"})
    survives_in = frozenset({"open"})
    money_fields: ClassVar[tuple[str, ...]] = ("estimated_value", "actual_value")

    number: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    originating_lead_id: Mapped[UUID | None] = reference("lead")
    campaign_id: Mapped[UUID | None] = mapped_column(info=refers("campaign"))
    source: Mapped[LeadSource | None] = mapped_column(text_enum(LeadSource))
    rating: Mapped[Rating | None] = mapped_column(text_enum(Rating))
    stage_id: Mapped[UUID] = reference("sales_stage")
    stage: Mapped[str] = mapped_column(String(200))
    stages: Mapped[list[Any]] = mapped_column(JSONB)
    probability: Mapped[Decimal] = mapped_column(PercentType())
    probability_overridden: Mapped[bool]
    estimated_value: Mapped[Money | None] = money_columns("estimated_value")
    estimated_value_base: Mapped[Money | None] = money_columns("estimated_value_base")
    estimated_close_date: Mapped[date | None]
    actual_value: Mapped[Money | None] = money_columns("actual_value")
    actual_value_base: Mapped[Money | None] = money_columns("actual_value_base")
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    # The default is for the previous release, which runs on this schema too and does not know the column.
    competitor_ids: Mapped[list[UUID]] = references("competitor", server_default="{}")
    # The defaults are for the previous release, which does not know these columns.
    estimated_value_source: Mapped[EstimatedValueSource] = mapped_column(
        text_enum(EstimatedValueSource), server_default=EstimatedValueSource.USER.value
    )
    price_list_id: Mapped[UUID | None] = reference("price_list")
    lines: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    product_ids: Mapped[list[UUID]] = references("product", server_default="{}")
    # Null in rows of the previous release, which does not know the column.
    opened_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    closes: Mapped[list[Any]] = mapped_column(JSONB)
    description: Mapped[str | None] = mapped_column(Text)

    search_text: Mapped[str] = search_column("name", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("opportunity", "name", "stage"),
        Index(None, "name", "id"),
        # Named explicitly: the conventional name is that of the next index.
        Index(None, "stage_id"),
        *sorted_indexes(
            "opportunity",
            "estimated_value_amount",
            "estimated_value_base_amount",
            "estimated_close_date",
            "opened_at",
            "closed_at",
        ),
        *customer_indexes("opportunity"),
        *reference_indexes("opportunity", "originating_lead_id", "campaign_id", "price_list_id"),
        Index("ix_opportunity_competitor_ids", "competitor_ids", postgresql_using="gin"),
        # The index covers the query of goals.
        Index(
            "ix_opportunity_won",
            "owner_id",
            "closed_at",
            postgresql_where=text("status = 'won'"),
            postgresql_include=["actual_value_base_amount"],
        ),
        Index(None, "product_ids", postgresql_using="gin"),
        search_index(),
    )

    def enter(self, stage: SalesStage, at: datetime) -> None:
        """Enter a stage. An overridden probability stays. The deal is opened by its first stage."""
        if not self.stages:
            self.opened_at = at
        self._leave_stage(at)
        self.stage_id, self.stage = stage.id, stage.name
        self._stay_from(at)
        if not self.probability_overridden:
            self.probability = stage.probability

    def win(self, actual_value: Money, at: datetime, note: str | None, by: UUID | None) -> None:
        """Close the deal as won (Dataverse: WinOpportunity)."""
        self.move("win")
        self.actual_value, self.closed_at = actual_value, at
        self._leave_stage(at)
        self._keep_close(CloseOutcome.WON, note, by)

    def compete_with(self, competitor_ids: list[UUID]) -> None:
        """Set the competitors."""
        require_kept(competitor_ids, (close["competitor_id"] for close in self.closes))
        self.competitor_ids = competitor_ids

    def lose(
        self,
        reason: str,
        at: datetime,
        note: str | None,
        by: UUID | None,
        to: UUID | None = None,
        closed_quotes: Sequence[ClosedQuote] = (),
    ) -> None:
        """Close the deal as lost, optionally to a competitor (Dataverse: LoseOpportunity)."""
        self.move("lose", reason)
        if to is not None:
            self.competitor_ids = with_competitor(self.competitor_ids, to)
        self.closed_at = at
        self._leave_stage(at)
        self._keep_close(CloseOutcome.LOST, note, by, to, closed_quotes)

    def reopen(self, at: datetime) -> None:
        """Reopen the deal in its last stage. The close records stay."""
        self.move("reopen")
        self._stay_from(at)
        self.opened_at = at
        self.actual_value = self.actual_value_base = self.closed_at = None

    def merge_into(self, survivor: Mergeable) -> None:
        """Mark the deal as merged. It keeps its stage, which every deal has, and no other reference."""
        super().merge_into(survivor)
        self.belong_to(None)
        self.lines, self.product_ids, self.competitor_ids = [], [], []

    @classmethod
    def links(cls) -> tuple[str, ...]:
        """The columns that refer to other records of the same service, except the stage."""
        return tuple(column for column in super().links() if column != "stage_id")

    @property
    def currency(self) -> str | None:
        """The currency of its amounts, else of its lines, else None."""
        amounts = (self.estimated_value, self.actual_value)
        return next((amount.currency for amount in amounts if amount is not None), self.currency_of_lines)

    @property
    def currency_of_lines(self) -> str | None:
        """The currency of its lines; None without lines."""
        return self.lines[0]["net"]["currency"] if self.lines else None

    @property
    def priced_lines(self) -> list[PricedLine]:
        """The lines with their current prices."""
        return [PricedLine.stored(line) for line in self.lines]

    def keep_lines(self, lines: Sequence[PricedLine]) -> None:
        """Set the lines."""
        self.lines = [line.model_dump(mode="json") for line in lines]
        self.product_ids = products_of(lines)

    def add_up(self) -> None:
        """Set the estimated value to the sum of the lines if they determine it.

        422 ``too-large`` past 15 integer digits.
        """
        if self.estimated_value_source == EstimatedValueSource.LINES:
            self.estimated_value = sum_of(self.priced_lines)

    def _stay_from(self, at: datetime) -> None:
        visit = StageVisit(stage_id=self.stage_id, stage=self.stage, entered_at=at, left_at=None)
        self.stages = [*self.stages, visit.model_dump(mode="json")]

    def _leave_stage(self, at: datetime) -> None:
        """End the visit of the current stage.

        If the deal was closed before it entered the stage, the visit has no duration.
        """
        if self.stages:
            *before, last = self.stages
            entered_at = StageVisit.stored(last).entered_at
            self.stages = [*before, {**last, "left_at": utc_text(max(entered_at, at))}]

    @property
    def last_closed_quotes(self) -> list[ClosedQuote]:
        """The quotes that the last close of the deal closed."""
        return OpportunityClose.stored(self.closes[-1]).closed_quotes if self.closes else []

    def keep_closed_quotes(self, quotes: Sequence[ClosedQuote]) -> None:
        """Set what became of the quotes that the last close of the deal closed."""
        *before, last = self.closes
        self.closes = [*before, {**last, "closed_quotes": [one.model_dump(mode="json") for one in quotes]}]

    def _keep_close(
        self,
        outcome: CloseOutcome,
        note: str | None,
        by: UUID | None,
        to: UUID | None = None,
        closed_quotes: Sequence[ClosedQuote] = (),
    ) -> None:
        assert self.closed_at is not None
        close = OpportunityClose(
            outcome=outcome,
            reason=self.status_reason,
            actual_value=self.actual_value,
            closed_at=self.closed_at,
            competitor_id=to,
            note=note,
            by=by,
            closed_quotes=list(closed_quotes),
        )
        # Assign a new list: the unit of work compares with the old one.
        self.closes = [*self.closes, close.model_dump(mode="json")]
