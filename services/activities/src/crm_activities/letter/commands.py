"""Commands on letters."""

from uuid import UUID

from crm_activities.activity.commands import changes_of, columns_of, reopen, reschedule, snooze
from crm_activities.activity.parties import parties_of
from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.document.commands import lines_of, make_document
from crm_activities.document.schemas import DocumentRequest
from crm_activities.letter.model import Letter
from crm_activities.letter.schemas import LetterComplete, LetterCreate, LetterUpdate
from crm_contracts.access import Privilege
from crm_contracts.activities.letter import (
    LetterAssigned,
    LetterCanceled,
    LetterCompleted,
    LetterCreated,
    LetterDeleted,
    LetterDrafted,
    LetterReopened,
    LetterRescheduled,
    LetterUpdated,
)
from crm_kit.importing.importer import Importer
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.work.uow import UnitOfWork


async def create_letter(uow: UnitOfWork, body: LetterCreate) -> Letter:
    """Create a letter. The caller owns it."""
    await uow.start(Letter)
    return uow.add(await make_letter(uow, body), LetterCreated)


async def make_letter(uow: UnitOfWork, body: LetterCreate) -> Letter:
    """Make a letter of a body without adding it to the unit of work. Creates and imports share this."""
    values = await columns_of(uow, body)
    values["parties"] = await parties_of(uow, body.parties)
    return Letter(**values)


async def update_letter(uow: UnitOfWork, letter_id: UUID, body: LetterUpdate) -> Letter:
    """Change fields of an open letter. A patch that changes no value does nothing."""
    found = await uow.get(Letter, letter_id, Privilege.WRITE)
    values = await changes_of(uow, found, body)
    if "parties" in values:
        values["parties"] = await parties_of(uow, body.parties, found.parties)
    apply(found, values)
    return uow.emit_if_changed(found, LetterUpdated)


async def draft_letter(uow: UnitOfWork, letter_id: UUID) -> Letter:
    """Begin to write the letter."""
    found = await uow.get(Letter, letter_id, Privilege.WRITE)
    found.draft()
    return uow.emit(found, LetterDrafted)


async def document_letter(uow: UnitOfWork, letter_id: UUID, body: DocumentRequest) -> Letter:
    """Make the document of an open letter as PDF, and attach it. It replaces the document that was made before."""
    found = await uow.get(Letter, letter_id, Privilege.WRITE)
    found.document_id = await make_document(uow, found, body, lines_of(found.address))
    return uow.emit(found, LetterUpdated)


async def complete_letter(uow: UnitOfWork, letter_id: UUID, body: LetterComplete) -> Letter:
    """Complete the letter."""
    found = await uow.get(Letter, letter_id, Privilege.WRITE)
    found.complete(body.get("reason"), uow.now)
    return uow.emit(found, LetterCompleted, reason=found.status_reason, completed_at=uow.now)


async def cancel_letter(uow: UnitOfWork, letter_id: UUID) -> Letter:
    """Cancel the letter."""
    found = await uow.get(Letter, letter_id, Privilege.WRITE)
    found.cancel()
    return uow.emit(found, LetterCanceled)


async def reopen_letter(uow: UnitOfWork, letter_id: UUID) -> Letter:
    """Reopen the letter."""
    return reopen(uow, await uow.get(Letter, letter_id, Privilege.WRITE), LetterReopened)


async def reschedule_letter(uow: UnitOfWork, letter_id: UUID, body: Reschedule) -> Letter:
    """Change when the letter is due. The same time again does nothing."""
    return reschedule(uow, await uow.get(Letter, letter_id, Privilege.WRITE), body, LetterRescheduled)


async def snooze_letter(uow: UnitOfWork, letter_id: UUID, body: Snooze) -> Letter:
    """Postpone the reminder."""
    return snooze(uow, await uow.get(Letter, letter_id, Privilege.WRITE), body, LetterUpdated)


async def assign_letter(uow: UnitOfWork, letter_id: UUID, body: Assignment) -> Letter:
    """Assign the letter to another owner."""
    found = await uow.get(Letter, letter_id, Privilege.ASSIGN)
    await assign(uow, found, body, LetterAssigned)
    return found


async def delete_letter(uow: UnitOfWork, letter_id: UUID) -> None:
    """Delete a letter of any status. Its files are deleted soon afterwards."""
    uow.remove(await uow.get(Letter, letter_id, Privilege.DELETE), LetterDeleted)


IMPORTER = Importer(Letter, LetterCreate, LetterCreated, make_letter)
