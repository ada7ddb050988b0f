"""Commands on faxes."""

from typing import Any
from uuid import UUID

from crm_activities.activity.commands import changes_of, columns_of, reopen, reschedule, snooze
from crm_activities.activity.parties import parties_of
from crm_activities.activity.schemas import Reschedule, Snooze
from crm_activities.document.commands import make_document
from crm_activities.document.schemas import DocumentRequest
from crm_activities.fax.model import Fax
from crm_activities.fax.schemas import FaxComplete, FaxCreate, FaxUpdate
from crm_contracts.access import Privilege
from crm_contracts.activities.fax import (
    FaxAssigned,
    FaxCanceled,
    FaxCompleted,
    FaxCreated,
    FaxDeleted,
    FaxDrafted,
    FaxReopened,
    FaxRescheduled,
    FaxUpdated,
)
from crm_kit.importing.importer import Importer
from crm_kit.phones import normal_phone
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.work.uow import UnitOfWork


async def create_fax(uow: UnitOfWork, body: FaxCreate) -> Fax:
    """Create a fax. The caller owns it."""
    await uow.start(Fax)
    return uow.add(await make_fax(uow, body), FaxCreated)


async def make_fax(uow: UnitOfWork, body: FaxCreate) -> Fax:
    """Make a fax of a body without adding it to the unit of work. Creates and imports share this."""
    values = _normal(uow, await columns_of(uow, body))
    values["parties"] = await parties_of(uow, body.parties)
    return Fax(**values)


async def update_fax(uow: UnitOfWork, fax_id: UUID, body: FaxUpdate) -> Fax:
    """Change fields of an open fax. A patch that changes no value does nothing."""
    found = await uow.get(Fax, fax_id, Privilege.WRITE)
    values = _normal(uow, await changes_of(uow, found, body))
    if "parties" in values:
        values["parties"] = await parties_of(uow, body.parties, found.parties)
    apply(found, values)
    return uow.emit_if_changed(found, FaxUpdated)


async def draft_fax(uow: UnitOfWork, fax_id: UUID) -> Fax:
    """Begin to write the fax."""
    found = await uow.get(Fax, fax_id, Privilege.WRITE)
    found.draft()
    return uow.emit(found, FaxDrafted)


async def document_fax(uow: UnitOfWork, fax_id: UUID, body: DocumentRequest) -> Fax:
    """Make the document of an open fax as PDF, and attach it. It replaces the document that was made before."""
    found = await uow.get(Fax, fax_id, Privilege.WRITE)
    found.document_id = await make_document(
        uow, found, body, [found.fax_number] if found.fax_number else [], found.cover_page
    )
    return uow.emit(found, FaxUpdated)


async def complete_fax(uow: UnitOfWork, fax_id: UUID, body: FaxComplete) -> Fax:
    """Complete the fax."""
    found = await uow.get(Fax, fax_id, Privilege.WRITE)
    found.complete(body.get("reason"), uow.now)
    return uow.emit(found, FaxCompleted, reason=found.status_reason, completed_at=uow.now)


async def cancel_fax(uow: UnitOfWork, fax_id: UUID) -> Fax:
    """Cancel the fax."""
    found = await uow.get(Fax, fax_id, Privilege.WRITE)
    found.cancel()
    return uow.emit(found, FaxCanceled)


async def reopen_fax(uow: UnitOfWork, fax_id: UUID) -> Fax:
    """Reopen the fax."""
    return reopen(uow, await uow.get(Fax, fax_id, Privilege.WRITE), FaxReopened)


async def reschedule_fax(uow: UnitOfWork, fax_id: UUID, body: Reschedule) -> Fax:
    """Change when the fax is due. The same time again does nothing."""
    return reschedule(uow, await uow.get(Fax, fax_id, Privilege.WRITE), body, FaxRescheduled)


async def snooze_fax(uow: UnitOfWork, fax_id: UUID, body: Snooze) -> Fax:
    """Postpone the reminder."""
    return snooze(uow, await uow.get(Fax, fax_id, Privilege.WRITE), body, FaxUpdated)


async def assign_fax(uow: UnitOfWork, fax_id: UUID, body: Assignment) -> Fax:
    """Assign the fax to another owner."""
    found = await uow.get(Fax, fax_id, Privilege.ASSIGN)
    await assign(uow, found, body, FaxAssigned)
    return found


async def delete_fax(uow: UnitOfWork, fax_id: UUID) -> None:
    """Delete a fax of any status. Its files are deleted soon afterwards."""
    uow.remove(await uow.get(Fax, fax_id, Privilege.DELETE), FaxDeleted)


def _normal(uow: UnitOfWork, values: dict[str, Any]) -> dict[str, Any]:
    if values.get("fax_number") is not None:
        country = uow.runtime.directory.organization.country
        values["fax_number"] = normal_phone(values["fax_number"], country, "/fax_number")
    return values


IMPORTER = Importer(Fax, FaxCreate, FaxCreated, make_fax)
