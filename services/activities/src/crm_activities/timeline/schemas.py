"""What a timeline looks like."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from crm_contracts.types import HiddenRef, Ref, UtcDatetime


class TimelineItem(BaseModel):
    """An item of a record's timeline: an activity about it, or one of its own events."""

    id: UUID = Field(description="Id of the activity, of the note, or of the event.")
    kind: Literal["activity", "event", "note"] = Field(description="`activity`, `event` or `note`.")
    type: str = Field(
        description="Type of the activity (`task`) or of the event; `note` of a note.",
        examples=["crm.sales.lead.qualified.v1"],
    )
    at: UtcDatetime = Field(
        description="When it happened; of an activity when it was completed, until then when it was created."
    )
    title: str = Field(description="One line for people.", examples=["Deal won: 1200.00 EUR"])
    actor: str = Field(
        description="Who did it, or created the activity or the note: `user:<id>`, `client:<id>`, `system:<service>` or"
        " `operator:<login>`."
    )
    record: Ref | HiddenRef = Field(
        description="The record it belongs to: the one asked for, or one its story went on to; `hidden` without its name"
        " where you may read the activity and not the record."
    )
    data: dict[str, Any] = Field(
        description="Of an activity its status, priority, due date and owner; of a note its owner and whether it is"
        " pinned; of an event its main facts, never texts."
    )
