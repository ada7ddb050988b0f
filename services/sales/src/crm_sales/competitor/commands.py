"""Commands on competitors."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.competitor import (
    CompetitorActivated,
    CompetitorAssigned,
    CompetitorCreated,
    CompetitorDeactivated,
    CompetitorDeleted,
    CompetitorUpdated,
)
from crm_kit.records.patching import Assignment, Deactivation, apply, assign, require_status
from crm_kit.records.references import check_references
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.competitor.model import Competitor
from crm_sales.competitor.schemas import CompetitorCreate, CompetitorUpdate


async def create_competitor(uow: UnitOfWork, body: CompetitorCreate) -> Competitor:
    """Create a competitor. The caller owns it."""
    await uow.start(Competitor)
    await check_references(uow, Competitor, dict(body))
    return uow.add(Competitor(**dict(body)), CompetitorCreated)


async def update_competitor(uow: UnitOfWork, competitor_id: UUID, body: CompetitorUpdate) -> Competitor:
    """Change fields of an active competitor. A patch that changes no value does nothing."""
    competitor = await uow.get(Competitor, competitor_id, Privilege.WRITE)
    require_status(competitor, "active")
    values = body.onto(competitor)
    await check_references(uow, Competitor, values, competitor)
    apply(competitor, values)
    return uow.emit_if_changed(competitor, CompetitorUpdated)


async def activate_competitor(uow: UnitOfWork, competitor_id: UUID) -> Competitor:
    """Activate an inactive competitor. Deals can name it again."""
    competitor = await uow.get(Competitor, competitor_id, Privilege.WRITE)
    competitor.move("activate")
    return uow.emit(competitor, CompetitorActivated)


async def deactivate_competitor(uow: UnitOfWork, competitor_id: UUID, body: Deactivation) -> Competitor:
    """Make the competitor read-only and refuse new references to it. Existing references stay."""
    competitor = await uow.get(Competitor, competitor_id, Privilege.WRITE)
    competitor.move("deactivate")
    return uow.emit(competitor, CompetitorDeactivated, reason=body.reason)


async def assign_competitor(uow: UnitOfWork, competitor_id: UUID, body: Assignment) -> Competitor:
    """Assign the competitor to another owner."""
    competitor = await uow.get(Competitor, competitor_id, Privilege.ASSIGN)
    await assign(uow, competitor, body, CompetitorAssigned)
    return competitor


async def delete_competitor(uow: UnitOfWork, competitor_id: UUID) -> None:
    """Delete a competitor that no record refers to."""
    competitor = await uow.get(Competitor, competitor_id, Privilege.DELETE)
    await refuse_in_use(uow, competitor)
    uow.remove(competitor, CompetitorDeleted)
