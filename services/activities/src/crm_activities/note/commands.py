"""Commands on notes."""

from uuid import UUID

from crm_activities.attachment.access import find_place
from crm_activities.note.model import Note
from crm_activities.note.schemas import NoteCreate, NoteUpdate
from crm_contracts.access import Privilege
from crm_contracts.activities.note import NOTE, NoteAssigned, NoteCreated, NoteDeleted, NoteUpdated
from crm_kit.errors import NotFound, UnknownReference
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.work.uow import UnitOfWork


async def create_note(uow: UnitOfWork, body: NoteCreate) -> Note:
    """Write a note on a record that the caller may read, in any state. The caller owns it."""
    await uow.start(Note)
    about = body.regarding
    if about.type == NOTE.name:
        raise UnknownReference("/regarding", about.type)
    try:
        place = await find_place(uow, about.type, about.id)
    except NotFound:
        raise UnknownReference("/regarding", about.type) from None
    place.introduce(uow)
    note = Note(regarding_type=place.type, regarding_id=place.id, text=body.text, pinned=body.pinned)
    return uow.add(note, NoteCreated)


async def update_note(uow: UnitOfWork, note_id: UUID, body: NoteUpdate) -> Note:
    """Change a note. A patch that changes no value does nothing."""
    note = await uow.get(Note, note_id, Privilege.WRITE)
    apply(note, body.onto(note))
    return uow.emit_if_changed(note, NoteUpdated)


async def assign_note(uow: UnitOfWork, note_id: UUID, body: Assignment) -> Note:
    """Assign the note to another owner."""
    note = await uow.get(Note, note_id, Privilege.ASSIGN)
    await assign(uow, note, body, NoteAssigned)
    return note


async def delete_note(uow: UnitOfWork, note_id: UUID) -> None:
    """Delete a note. Its files are deleted soon afterwards."""
    uow.remove(await uow.get(Note, note_id, Privilege.DELETE), NoteDeleted)
