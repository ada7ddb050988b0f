"""The table of faxes, and the changes of a fax."""

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, activity_indexes
from crm_activities.db import Base
from crm_activities.fax.domain import LIFECYCLE, reason_of
from crm_contracts.activities.fax import FaxDirection, FaxReason, FaxRecord
from crm_kit.store.columns import search_index, text_enum
from crm_kit.store.refers import ANY, ids_in, refers
from crm_kit.store.searching import Fill, kept_column, search_column, search_rule

NAMES: Final = "(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)"
IDS: Final = (
    "array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p"
    " where p -> 'party' ->> 'id' is not null)"
)


class Fax(ActivityType, Base):
    """A fax to or from somebody."""

    __tablename__ = "fax"
    record_model: ClassVar[type[BaseModel]] = FaxRecord
    lifecycle = LIFECYCLE

    direction: Mapped[FaxDirection] = mapped_column(text_enum(FaxDirection))
    fax_number: Mapped[str | None] = mapped_column(String(16))
    cover_page: Mapped[str | None] = mapped_column(Text)
    parties: Mapped[list[Any]] = mapped_column(JSONB)
    description: Mapped[str | None] = mapped_column(Text)
    document_id: Mapped[UUID | None] = mapped_column(info=refers("attachment"))

    party_ids: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid()), server_default="{}", info={**kept_column(), **refers(ANY), **ids_in("parties")}, sort_order=98
    )
    """The records that take part, for their timelines, and for what follows a merge."""
    search_text: Mapped[str] = search_column(
        "subject",
        "fax_number",
        more=(NAMES,),
        fills=(Fill("party_ids", "uuid[] default '{}' not null", IDS),),
    )
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *activity_indexes("fax"),
        Index("ix_fax_party_ids", "party_ids", postgresql_using="gin"),
        search_index(),
    )

    def draft(self) -> None:
        """Begin to write it."""
        self.move("draft")

    def complete(self, reason: FaxReason | None, at: datetime) -> None:
        """Complete the fax. Its direction determines the default reason."""
        self.move("complete", reason or reason_of(self.direction))
        self.completed_at = at
