"""The table of sales literature."""

from datetime import date
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.choices import LiteratureType
from crm_contracts.sales.sales_literature import SalesLiteratureRecord
from crm_kit.store.columns import name_indexes, record_indexes, search_index, sorted_indexes, text_enum
from crm_kit.store.record import Record, Stateful
from crm_kit.store.refers import references
from crm_kit.store.searching import search_column, search_rule
from crm_sales.db import Base
from crm_sales.sales_literature.domain import LIFECYCLE


class SalesLiterature(Record, Stateful, Base):
    """A document or text for sellers."""

    __tablename__ = "sales_literature"
    record_model: ClassVar[type[BaseModel]] = SalesLiteratureRecord
    lifecycle = LIFECYCLE
    called = "title"

    title: Mapped[str] = mapped_column(String(200))
    type: Mapped[LiteratureType] = mapped_column(text_enum(LiteratureType))
    body: Mapped[str | None] = mapped_column(Text)
    link: Mapped[str | None] = mapped_column(String(2000))
    product_ids: Mapped[list[UUID]] = references("product")
    competitor_ids: Mapped[list[UUID]] = references("competitor")
    expires_on: Mapped[date | None]
    keywords: Mapped[str | None] = mapped_column(String(200))

    search_text: Mapped[str] = search_column("title", "keywords")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *name_indexes("sales_literature", "title"),
        CheckConstraint("body is not null or link is not null", name="content"),
        *record_indexes(),
        Index(None, "type", "id"),
        *sorted_indexes("sales_literature", "expires_on"),
        Index("ix_sales_literature_product_ids", "product_ids", postgresql_using="gin"),
        Index("ix_sales_literature_competitor_ids", "competitor_ids", postgresql_using="gin"),
        search_index(),
    )
