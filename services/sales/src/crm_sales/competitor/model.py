"""The table of competitors."""

from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.competitor import CompetitorRecord
from crm_kit.store.columns import name_indexes, owned_indexes, search_index
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.refers import references
from crm_kit.store.searching import search_column, search_rule
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
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("competitor", "name"),
        Index(None, "name", "id"),
        Index("ix_competitor_product_ids", "product_ids", postgresql_using="gin"),
        search_index(),
    )
