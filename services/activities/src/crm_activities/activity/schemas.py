"""What all activities have in common, as clients write and see it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.activities.activity import ActivityRecord, PartyRole, Priority
from crm_contracts.types import HiddenRef, LongText, Maybe, Personal, Ref, RefInput, ShortText, UtcDatetime

MOST_PARTIES = 500

SeenRegarding = Annotated[
    Ref | HiddenRef | None,
    Field(description="The record it is about, of any service; `hidden` without its name where you may not read it."),
]
"""What an activity is about, as the caller may see it."""
SeenParty = Annotated[
    Ref | HiddenRef | None,
    Field(
        description="The record, with its name as of writing; `hidden` without it where you may not read the record; null"
        " for an address alone."
    ),
]
"""The record of a party, as the caller may see it."""


class AboutFields(BaseModel):
    """The fields that clients write of every activity. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    regarding: RefInput | None = Field(
        None, description="The record that the activity is about, of any service; you must be able to read it."
    )
    priority: Priority = Field(Priority.NORMAL, description="Priority.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")


class CommonFields(AboutFields):
    """The fields that clients write of an activity with a reminder."""

    remind_at: UtcDatetime | None = Field(
        None, description="When to remind the owner; a time in the past reminds at once."
    )


class ActivityFields(CommonFields):
    """The fields that clients write of an activity with a due time."""

    due_at: UtcDatetime | None = Field(
        None, description="Due time. A change moves the reminder by as much, unless `remind_at` is sent too."
    )


class PartyInput(BaseModel):
    """Somebody who takes part: a record, an address, or both. A type narrows role, record and address to its own."""

    model_config = ConfigDict(extra="forbid")

    role: PartyRole = Field(description="Role of the party.")
    party: RefInput | None = Field(None, description="The record, readable by you.")
    address: Maybe[ShortText] = Field(None, description="Telephone number or other address.")
    name: Personal[Maybe[ShortText]] = Field(None, description="Name of the party; by default the record's name.")


class Reschedule(BaseModel):
    """When the activity is due instead."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"due_at": "2026-12-08T09:00:00Z"}]})

    due_at: UtcDatetime | None = Field(description="When it is due now; null for no date. A reminder moves by as much.")


class Snooze(BaseModel):
    """When to remind again."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"until": "2096-12-01T10:00:00Z"}]})

    until: UtcDatetime = Field(description="When to remind again; in the future.")


class ListedActivity(ActivityRecord):
    """An activity of any type, by what all types have in common."""

    type: str = Field(description="Type of the activity, such as `task`.", examples=["task"])


class ActivityRead(ListedActivity):
    """An activity as you may see it."""

    regarding: SeenRegarding
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
