"""The table of phone calls, and the changes of a phone call."""

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_activities.activity.model import ActivityType, Timed, activity_indexes
from crm_activities.db import Base
from crm_activities.phone_call.domain import LIFECYCLE, reason_of
from crm_contracts.activities.phone_call import CallDirection, CallReason, PhoneCallRecord
from crm_kit.store.columns import reference_indexes, search_index, sorted_indexes, text_enum
from crm_kit.store.refers import ANY, ids_in, refers
from crm_kit.store.searching import Fill, kept_column, search_column, search_rule

NAMES: Final = "(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)"
IDS: Final = (
    "array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p"
    " where p -> 'party' ->> 'id' is not null)"
)


class PhoneCall(ActivityType, Timed, Base):
    """A telephone conversation."""

    __tablename__ = "phone_call"
    record_model: ClassVar[type[BaseModel]] = PhoneCallRecord
    lifecycle = LIFECYCLE

    direction: Mapped[CallDirection] = mapped_column(text_enum(CallDirection))
    phone_number: Mapped[str | None] = mapped_column(String(16))
    parties: Mapped[list[Any]] = mapped_column(JSONB)
    left_voicemail: Mapped[bool]
    outcome: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str | None] = mapped_column(Text)

    party_ids: Mapped[list[UUID]] = mapped_column(
        ARRAY(Uuid()), server_default="{}", info={**kept_column(), **refers(ANY), **ids_in("parties")}, sort_order=98
    )
    """The records that take part, for their timelines, and for what follows a merge."""
    search_text: Mapped[str] = search_column(
        "subject",
        "phone_number",
        "outcome",
        more=(NAMES,),
        fills=(Fill("party_ids", "uuid[] default '{}' not null", IDS),),
    )
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *activity_indexes("phone_call"),
        *sorted_indexes("phone_call", "scheduled_start_at", "started_at"),
        *reference_indexes("phone_call", "phone_number"),
        Index("ix_phone_call_party_ids", "party_ids", postgresql_using="gin"),
        search_index(),
    )

    def complete(self, reason: CallReason | None, at: datetime) -> None:
        """Complete the call. Its direction determines the default reason."""
        self.move("complete", reason or reason_of(self.direction))
        self.completed_at = at
