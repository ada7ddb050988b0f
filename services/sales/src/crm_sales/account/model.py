"""The table of accounts."""

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Numeric, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.money import Money
from crm_contracts.sales.account import AccountRecord
from crm_contracts.sales.choices import Tier
from crm_kit.store.columns import (
    folded_index,
    money_columns,
    name_indexes,
    owned_indexes,
    reference_indexes,
    search_index,
    text_enum,
)
from crm_kit.store.record import Mergeable
from crm_kit.store.refers import reference
from crm_kit.store.searching import search_column, search_rule
from crm_sales.account.domain import LIFECYCLE
from crm_sales.db import Base


class Account(Mergeable, Base):
    """A company that we deal with."""

    __tablename__ = "account"
    numbered = "ACC"
    record_model: ClassVar[type[BaseModel]] = AccountRecord
    lifecycle = LIFECYCLE
    merges_from = frozenset({"active"})
    survives_in = frozenset({"active"})
    money_fields: ClassVar[tuple[str, ...]] = ("annual_revenue", "credit_limit")

    name: Mapped[str] = mapped_column(String(200))
    number: Mapped[str | None] = mapped_column(String(200), unique=True)
    parent_account_id: Mapped[UUID | None] = reference("account")
    primary_contact_id: Mapped[UUID | None] = reference("contact", use_alter=True)
    industry: Mapped[str | None] = mapped_column(String(200))
    employees: Mapped[int | None]
    annual_revenue: Mapped[Money | None] = money_columns("annual_revenue")
    annual_revenue_base: Mapped[Money | None] = money_columns("annual_revenue_base")
    website: Mapped[str | None] = mapped_column(String(2000))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(16))
    billing_address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    shipping_address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    tier: Mapped[Tier] = mapped_column(text_enum(Tier))
    credit_limit: Mapped[Money | None] = money_columns("credit_limit")
    credit_limit_base: Mapped[Money | None] = money_columns("credit_limit_base")
    credit_hold: Mapped[bool]
    exchange_rate: Mapped[Decimal | None] = mapped_column(Numeric(20, 10))
    evaluation: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)

    search_text: Mapped[str] = search_column("name", "number", "email", "phone")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("account", "name"),
        Index(None, "name", "id"),
        Index(None, "tier", "id"),
        *reference_indexes("account", "email", "phone", "parent_account_id", "primary_contact_id", "survivor_id"),
        # Without fastupdate: each search for duplicates would have to scan the pending list.
        Index(
            "ix_account_namesake",
            text("crm_company(name) gin_trgm_ops"),
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
        folded_index("account", "email"),
        search_index(),
    )
