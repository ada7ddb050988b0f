"""The table of price lists."""

from datetime import date
from typing import ClassVar

from pydantic import BaseModel
from sqlalchemy import Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.price_list import PriceListRecord
from crm_kit.errors import InvalidValue
from crm_kit.store.columns import name_indexes, record_indexes, search_index, sorted_indexes
from crm_kit.store.record import Record, Stateful
from crm_kit.store.searching import search_column, search_rule
from crm_sales.db import Base
from crm_sales.price_list.domain import LIFECYCLE, why_not_in_force


class PriceList(Record, Stateful, Base):
    """Prices of products in one currency, valid from a day to a day."""

    __tablename__ = "price_list"
    record_model: ClassVar[type[BaseModel]] = PriceListRecord
    lifecycle = LIFECYCLE

    name: Mapped[str] = mapped_column(String(200))
    currency: Mapped[str] = mapped_column(String(3))
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]
    description: Mapped[str | None] = mapped_column(Text)

    search_text: Mapped[str] = search_column("name")
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *record_indexes(),
        *name_indexes("price_list", "name"),
        Index(None, "name", "id"),
        *sorted_indexes("price_list", "valid_from", "valid_to"),
        search_index(),
    )

    def require_in_force(self, day: date, pointer: str) -> None:
        """Raise 422 ``price-list-not-valid`` with the pointer on a day outside the list's validity."""
        why = why_not_in_force(self.valid_from, self.valid_to, day)
        if why is not None:
            raise InvalidValue(pointer, "price-list-not-valid", why)
