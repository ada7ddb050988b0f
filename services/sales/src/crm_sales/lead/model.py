"""The table of leads, and the changes of a lead."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Numeric, SmallInteger, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.choices import Gender, LeadSource, Need, PreferredChannel, Rating
from crm_contracts.sales.lead import LeadRecord
from crm_kit.store.columns import (
    folded_index,
    money_columns,
    name_indexes,
    owned_indexes,
    reference_indexes,
    search_index,
    sorted_indexes,
    text_enum,
)
from crm_kit.store.record import Mergeable
from crm_kit.store.refers import reference, refers
from crm_kit.store.searching import Fill, kept_column, search_column, search_rule
from crm_sales.db import Base
from crm_sales.lead.domain import LIFECYCLE

WARMTH: Final = "case new.rating when 'cold' then 1 when 'warm' then 2 when 'hot' then 3 end"


class Lead(Mergeable, Base):
    """A person or company that can become a customer."""

    __tablename__ = "lead"
    numbered = "LEA"
    record_model: ClassVar[type[BaseModel]] = LeadRecord
    lifecycle = LIFECYCLE
    merges_from = frozenset({"open"})
    survives_in = frozenset({"open", "qualified"})
    called = "topic"
    money_fields: ClassVar[tuple[str, ...]] = ("budget", "estimated_value")

    number: Mapped[str] = mapped_column(String(20), unique=True)
    topic: Mapped[str] = mapped_column(String(200))
    first_name: Mapped[str | None] = mapped_column(String(200))
    last_name: Mapped[str | None] = mapped_column(String(200))
    company_name: Mapped[str | None] = mapped_column(String(200))
    job_title: Mapped[str | None] = mapped_column(String(200))
    gender: Mapped[Gender | None] = mapped_column(text_enum(Gender))
    birth_date: Mapped[date | None]
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(16))
    mobile_phone: Mapped[str | None] = mapped_column(String(16))
    address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    website: Mapped[str | None] = mapped_column(String(2000))
    industry: Mapped[str | None] = mapped_column(String(200))
    source: Mapped[LeadSource | None] = mapped_column(text_enum(LeadSource))
    rating: Mapped[Rating | None] = mapped_column(text_enum(Rating))
    budget: Mapped[Money | None] = money_columns("budget")
    budget_base: Mapped[Money | None] = money_columns("budget_base")
    estimated_value: Mapped[Money | None] = money_columns("estimated_value")
    estimated_value_base: Mapped[Money | None] = money_columns("estimated_value_base")
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    estimated_close_date: Mapped[date | None]
    need: Mapped[Need | None] = mapped_column(text_enum(Need))
    preferred_channel: Mapped[PreferredChannel] = mapped_column(text_enum(PreferredChannel))
    do_not_email: Mapped[bool]
    do_not_phone: Mapped[bool]
    do_not_post: Mapped[bool]
    campaign_id: Mapped[UUID | None] = mapped_column(info=refers("campaign"))
    description: Mapped[str | None] = mapped_column(Text)
    account_id: Mapped[UUID | None] = reference("account")
    contact_id: Mapped[UUID | None] = reference("contact")
    opportunity_id: Mapped[UUID | None] = reference("opportunity", use_alter=True)
    qualified_at: Mapped[datetime | None]
    disqualified_at: Mapped[datetime | None]

    rating_rank: Mapped[int | None] = mapped_column(SmallInteger, info=kept_column(), sort_order=98)
    """The sort key of the rating."""
    search_text: Mapped[str] = search_column(
        "topic",
        "first_name",
        "last_name",
        "company_name",
        "email",
        "phone",
        "mobile_phone",
        "number",
        person=("last_name", "first_name"),
        fills=(Fill("rating_rank", "smallint", WARMTH),),
    )
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("lead", "last_name", "company_name"),
        *sorted_indexes("lead", "rating_rank", "estimated_close_date"),
        *reference_indexes("lead", "account_id", "contact_id", "opportunity_id", "campaign_id"),
        *reference_indexes("lead", "phone", "mobile_phone"),
        folded_index("lead", "email"),
        # The index covers the query of goals.
        Index("ix_lead_qualified", "owner_id", "qualified_at", postgresql_where=text("status = 'qualified'")),
        search_index(),
    )

    def contact(self) -> None:
        """Record the first contact."""
        self.move("contact")

    def qualify(
        self, account_id: UUID | None, contact_id: UUID | None, opportunity_id: UUID | None, at: datetime
    ) -> None:
        """Qualify the lead (Dataverse: QualifyLead)."""
        self.move("qualify")
        self.account_id, self.contact_id, self.opportunity_id = account_id, contact_id, opportunity_id
        self.qualified_at = at

    def disqualify(self, reason: str | None, at: datetime) -> None:
        """Disqualify the lead."""
        self.move("disqualify", reason)
        self.disqualified_at = at

    def inherit(self, other: "Lead") -> None:
        """Take over the other lead's account, contact and opportunity where this one has none."""
        for link in self.links():
            setattr(self, link, getattr(self, link) or getattr(other, link))

    def reopen(self) -> None:
        """Reopen the lead. The links of an earlier qualification stay."""
        self.move("reopen")
