"""What all activities have in common, as clients see it."""

from pydantic import BaseModel, Field

from crm_contracts.activities import Priority
from crm_contracts.records import OwnedRecord
from crm_contracts.types import Ref, ShortText, UtcDatetime


class ActivityRecord(OwnedRecord):
    """An activity of any type: what all types have in common."""

    type: str = Field(description="Type of the activity, such as `task`.", examples=["task"])
    status: str = Field(description="State; changes only through commands of its type.", examples=["open"])
    status_reason: str = Field(description="Detail of the state.", examples=["not_started"])
    subject: ShortText = Field(description="What it is about.", examples=["Call Ada about the card"])
    regarding: Ref | None = Field(description="The record it is about, of any service.")
    due_at: UtcDatetime | None = Field(description="When it should be done.")
    priority: Priority = Field(description="How urgent it is.")
    remind_at: UtcDatetime | None = Field(description="When to remind the owner.")
    reminded_at: UtcDatetime | None = Field(description="When the owner was reminded.")
    completed_at: UtcDatetime | None = Field(description="When it was completed; null unless it is.")


class ActivityRead(ActivityRecord):
    """An activity as you may see it."""

    allowed_actions: list[str] = Field(description="The moves from here that you hold the privilege for.")


class ActivityPage(BaseModel):
    """A page of activities of all types."""

    items: list[ActivityRead] = Field(description="Activities in the order asked for.")
    next: str | None = Field(description="Value for `after` of the next page; null at the end.")
    count: int | None = Field(None, description="All matches, when `count=exact` was asked for.")
