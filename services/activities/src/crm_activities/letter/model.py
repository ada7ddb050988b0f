"""The table of letters, and the changes of a letter."""

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, activity_indexes
from crm_activities.db import Base
from crm_activities.letter.domain import LIFECYCLE, reason_of
from crm_contracts.activities.letter import LetterDirection, LetterReason, LetterRecord
from crm_kit.store.columns import search_index, text_enum
from crm_kit.store.refers import ANY, ids_in, refers
from crm_kit.store.searching import Fill, kept_column, search_column, search_rule

NAMES: Final = "(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)"
IDS: Final = (
    "array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p"
    " where p -> 'party' ->> 'id' is not null)"
)


class Letter(ActivityType, Base):
    """A letter to or from somebody."""

    __tablename__ = "letter"
    record_model: ClassVar[type[BaseModel]] = LetterRecord
    lifecycle = LIFECYCLE

    direction: Mapped[LetterDirection] = mapped_column(text_enum(LetterDirection))
    address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    parties: Mapped[list[Any]] = mapped_column(JSONB)
    description: Mapped[str | None] = mapped_column(Text)
    document_id: Mapped[UUID | None] = mapped_column(info=refers("attachment"))

    party_ids: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid()), server_default="{}", info={**kept_column(), **refers(ANY), **ids_in("parties")}, sort_order=98
    )
    """The records that take part, for their timelines, and for what follows a merge."""
    search_text: Mapped[str] = search_column(
        "subject",
        more=(NAMES,),
        fills=(Fill("party_ids", "uuid[] default '{}' not null", IDS),),
    )
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *activity_indexes("letter"),
        Index("ix_letter_party_ids", "party_ids", postgresql_using="gin"),
        search_index(),
    )

    def draft(self) -> None:
        """Begin to write it."""
        self.move("draft")

    def complete(self, reason: LetterReason | None, at: datetime) -> None:
        """Complete the letter. Its direction determines the default reason."""
        self.move("complete", reason or reason_of(self.direction))
        self.completed_at = at
