"""What clients send about notes and what they get."""

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.activities.note import NoteRecord
from crm_contracts.types import Flag, HiddenRef, LongText, Ref, RefInput
from crm_kit.records.patch import Patch, optional


class NoteCreate(BaseModel):
    """A new note."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "regarding": {"type": "account", "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"},
                    "text": "Prefers to be called on Mondays.",
                }
            ]
        },
    )

    regarding: RefInput = Field(description="The record that the note is on, of any service; readable by you.")
    text: LongText = Field(description="The note, 1 to 32,000 characters.")
    pinned: Flag = Field(False, description="True if it should stay in view.")


class NoteUpdate(Patch, BaseModel):
    """A merge patch (RFC 7396): absent fields stay unchanged."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"pinned": True}]})

    text: LongText = optional("The note, 1 to 32,000 characters.")
    pinned: Flag = optional("True if it should stay in view.")


class NoteRead(NoteRecord):
    """A note as you may see it."""

    regarding: Ref | HiddenRef = Field(
        description="The record that the note is on; `hidden` without its name where you may not read it."
    )
    allowed_actions: list[str] = Field(description="Commands that your privileges allow.")
