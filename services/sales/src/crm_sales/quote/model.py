"""The table of quotes, and the changes of a quote."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.quote import QuoteRecord
from crm_kit.store.columns import name_indexes, owned_indexes, search_index, sorted_indexes
from crm_kit.store.refers import refers
from crm_kit.store.searching import search_column, search_rule
from crm_sales.db import Base
from crm_sales.document.model import SalesDocument, document_indexes
from crm_sales.quote.domain import LIFECYCLE, LIVE


class Quote(SalesDocument, Base):
    """One revision of a quote."""

    __tablename__ = "quote"
    numbered = "QUO"
    record_model: ClassVar[type[BaseModel]] = QuoteRecord
    lifecycle = LIFECYCLE

    number: Mapped[str] = mapped_column(String(20))
    revision: Mapped[int]
    effective_from: Mapped[date | None]
    effective_to: Mapped[date | None]
    closed_at: Mapped[datetime | None]
    order_id: Mapped[UUID | None] = mapped_column(info=refers("order"))

    search_text: Mapped[str] = search_column("name", "number")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *name_indexes("quote", "name"),
        UniqueConstraint("number", "revision"),
        Index(
            "uq_quote_live", "number", unique=True, postgresql_where=text(f"status in ({', '.join(map(repr, LIVE))})")
        ),
        *owned_indexes(),
        Index(None, "name", "id"),
        Index(None, "number", "id"),
        Index(None, "revision", "id"),
        *sorted_indexes("quote", "total_amount", "total_base_amount", "effective_to", "closed_at"),
        *document_indexes("quote"),
        # A partial index on the quotes that can expire. The timer reads it every second.
        Index(
            "ix_quote_to_expire",
            "effective_to",
            postgresql_where=text("status = 'active' and effective_to is not null"),
        ),
        search_index(),
    )

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """Rule out a second order."""
        return {"order": "An order already exists for this quote."} if values["order_id"] else {}

    def close(self, action: str, at: datetime) -> None:
        """Close the quote by this action: win, lose, cancel or revise."""
        self.move(action)
        self.closed_at = at

    def reopen(self, status: str) -> None:
        """Return to the status that the quote had before its deal was lost: draft or active."""
        self.follow("reopen", status)
        self.closed_at = None

    def expire(self, at: datetime) -> None:
        """Expire the quote."""
        self.follow("expire")
        self.closed_at = at
