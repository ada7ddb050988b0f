"""Commands on sales literature. It belongs to the organisation and has no owner."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.sales_literature import (
    SalesLiteratureActivated,
    SalesLiteratureCreated,
    SalesLiteratureDeactivated,
    SalesLiteratureDeleted,
    SalesLiteratureUpdated,
)
from crm_kit.records.patching import Deactivation, apply, require_status
from crm_kit.records.references import check_references
from crm_kit.work.uow import UnitOfWork
from crm_sales.sales_literature.domain import require_content
from crm_sales.sales_literature.model import SalesLiterature
from crm_sales.sales_literature.schemas import SalesLiteratureCreate, SalesLiteratureUpdate


async def create_literature(uow: UnitOfWork, body: SalesLiteratureCreate) -> SalesLiterature:
    """Create a piece of sales literature."""
    await uow.start(SalesLiterature)
    require_content(body.body, body.link)
    await check_references(uow, SalesLiterature, dict(body))
    return uow.add(SalesLiterature(**dict(body)), SalesLiteratureCreated)


async def update_literature(uow: UnitOfWork, literature_id: UUID, body: SalesLiteratureUpdate) -> SalesLiterature:
    """Change fields of an active piece. A patch that changes no value does nothing."""
    piece = await uow.get(SalesLiterature, literature_id, Privilege.WRITE)
    require_status(piece, "active")
    values = body.onto(piece)
    await check_references(uow, SalesLiterature, values, piece)
    apply(piece, values)
    require_content(piece.body, piece.link)
    return uow.emit_if_changed(piece, SalesLiteratureUpdated)


async def activate_literature(uow: UnitOfWork, literature_id: UUID) -> SalesLiterature:
    """Activate an inactive piece."""
    piece = await uow.get(SalesLiterature, literature_id, Privilege.WRITE)
    piece.move("activate")
    return uow.emit(piece, SalesLiteratureActivated)


async def deactivate_literature(uow: UnitOfWork, literature_id: UUID, body: Deactivation) -> SalesLiterature:
    """Deactivate a piece. It stays readable."""
    piece = await uow.get(SalesLiterature, literature_id, Privilege.WRITE)
    piece.move("deactivate")
    return uow.emit(piece, SalesLiteratureDeactivated, reason=body.reason)


async def delete_literature(uow: UnitOfWork, literature_id: UUID) -> None:
    """Delete a piece. No record can refer to it."""
    uow.remove(await uow.get(SalesLiterature, literature_id, Privilege.DELETE), SalesLiteratureDeleted)
