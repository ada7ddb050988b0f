"""Notes: short texts on a record of any service."""

from typing import ClassVar, Final

from pydantic import Field

from crm_contracts.catalogue import Entity, Event, Raw
from crm_contracts.records import OwnedRecord, Owner
from crm_contracts.types import Flag, LongText, Ref

LONGEST_NAME: Final = 80


def first_line(record: Raw) -> str | None:
    """Return the beginning of a note, which names it."""
    line = str(record.get("text") or "").strip().split("\n")[0].strip()
    return line if len(line) <= LONGEST_NAME else line[: LONGEST_NAME - 1] + "…"


class NoteRecord(OwnedRecord):
    """A note on a record of any service. Files can be attached to it."""

    regarding: Ref = Field(description="The record that the note is on, of any service.")
    text: LongText = Field(
        description="The note, 1 to 32,000 characters.", examples=["Prefers to be called on Mondays."]
    )
    pinned: Flag = Field(description="True if it should stay in view.")


NOTE = Entity(service="activities", name="note", collection="notes", record=NoteRecord, owned=True, named=first_line)


class NoteEvent(Event):
    """Something happened to a note."""

    entity: ClassVar[Entity] = NOTE
    record: NoteRecord


class NoteCreated(NoteEvent):
    """A note was written on a record."""

    type: ClassVar[str] = "crm.activities.note.created.v1"


class NoteUpdated(NoteEvent):
    """A note changed, or moved to the survivor of a merge."""

    type: ClassVar[str] = "crm.activities.note.updated.v1"


class NoteAssigned(NoteEvent):
    """A note was given to another owner."""

    type: ClassVar[str] = "crm.activities.note.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class NoteDeleted(NoteEvent):
    """A note was deleted, or its record was; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.activities.note.deleted.v1"


class NoteSnapshot(NoteEvent):
    """The current state of a note, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.activities.note.snapshot.v1"
