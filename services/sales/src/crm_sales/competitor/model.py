"""The table of competitors."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.competitor import CompetitorRecord
from crm_kit.store.columns import search_column
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.refers import references
from crm_sales.competitor.domain import LIFECYCLE
from crm_sales.db import Base


class Competitor(OwnedRecord, Stateful, Base):
    """A company that competes with us for deals."""

    __tablename__ = "competitor"
    record_model: ClassVar[type[BaseModel]] = CompetitorRecord
    lifecycle = LIFECYCLE

    name: Mapped[str] = mapped_column(String(200))
    website: Mapped[str | None] = mapped_column(String(2000))
    strengths: Mapped[str | None] = mapped_column(Text)
    weaknesses: Mapped[str | None] = mapped_column(Text)
    product_ids: Mapped[list[UUID]] = references("product")

    search_text: Mapped[str] = search_column("name", "website")

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index(None, "owner_id", "created_at", "id"),
        Index(None, "business_unit_id", "created_at", "id"),
        Index(None, "modified_at", "id"),
        Index(None, "name", "id"),
        Index("ix_competitor_product_ids", "product_ids", postgresql_using="gin"),
        Index(None, "search_text", postgresql_using="gin", postgresql_ops={"search_text": "gin_trgm_ops"}),
    )
