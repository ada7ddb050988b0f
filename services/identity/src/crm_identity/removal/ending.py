"""What the answers of the services lead to: progress, a refusal, or the deletion."""

from uuid import UUID

from sqlalchemy import select

from crm_contracts.activities.handover import HANDOVERS as ACTIVITIES
from crm_contracts.handovers import HandoverEvent
from crm_contracts.identity import PrincipalRemovalCompleted, PrincipalRemovalRefused, PrincipalRemovalUpdated
from crm_contracts.marketing import HANDOVERS as MARKETING
from crm_contracts.removals import RemovalStatus
from crm_contracts.sales.handover import HANDOVERS as SALES
from crm_contracts.service.handover import HANDOVERS as SERVICE
from crm_identity.api_client.commands import erase_client
from crm_identity.organization.model import Since, hold_access
from crm_identity.removal.domain import CURRENT, NOT_ANSWERED, OPEN, OWNS_RECORDS, answered, decided
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.team.commands import erase_team
from crm_identity.user.commands import erase_user
from crm_kit.errors import DomainError, NotFound
from crm_kit.work.uow import UnitOfWork

ANSWERS = tuple(
    event for handovers in (ACTIVITIES, MARKETING, SALES, SERVICE) for event in (handovers.created, handovers.updated)
)


async def hear_answer(event: HandoverEvent, uow: UnitOfWork) -> None:
    """Keep the answer of one service. The last one ends the removal, with the deletion in the same transaction.

    An answer to a removal that has ended, or that a restore has lost, changes nothing.
    """
    since = await _hold_if_last(event, uow)
    try:
        removal = await uow.load(PrincipalRemoval, event.record.removal_id)
    except NotFound:
        return
    if removal.status not in OPEN:
        return
    parts = _with_answer(event, removal)
    outcome = decided(removal.status, parts)
    reason = OWNS_RECORDS
    if outcome is RemovalStatus.COMPLETED and not removal.transfer and uow.now > removal.created_at + CURRENT:
        # It has worked since the other services counted, and may own records there now.
        outcome, reason = RemovalStatus.REFUSED, NOT_ANSWERED
    elif outcome is RemovalStatus.COMPLETED and (obstacle := await _erase(uow, removal, since)) is not None:
        outcome, reason = RemovalStatus.REFUSED, obstacle
    removal.hear(parts)
    if outcome is None:
        uow.emit_if_changed(removal, PrincipalRemovalUpdated)
    elif outcome is RemovalStatus.REFUSED:
        removal.refuse(reason)
        uow.emit(removal, PrincipalRemovalRefused)
    else:
        removal.complete()
        uow.emit(removal, PrincipalRemovalCompleted)


async def _hold_if_last(event: HandoverEvent, uow: UnitOfWork) -> Since | None:
    """Lock the changes of rights before the removal, as every command does, if this answer seems to be the last one."""
    table = PrincipalRemoval.__table__
    found = (await uow.execute(select(table).where(table.c.id == event.record.removal_id))).mappings().one_or_none()
    if found is None:
        return None
    removal = PrincipalRemoval.from_row(dict(found))
    last = removal.status in OPEN and decided(removal.status, _with_answer(event, removal)) is not None
    return await hold_access(uow) if last else None


def _with_answer(event: HandoverEvent, removal: PrincipalRemoval) -> list[dict[str, object]]:
    told = event.record
    return answered(removal.services, event.entity.service, told.status, told.owned, told.moved)


async def _erase(uow: UnitOfWork, removal: PrincipalRemoval, since: Since | None) -> str | None:
    """Delete the principal, which may be gone already. Return the type of the problem if it cannot be deleted any more."""
    try:
        await _delete(uow, removal.principal_type, removal.principal_id, since or await hold_access(uow))
    except NotFound:
        return None
    except DomainError as error:
        return error.slug
    return None


async def _delete(uow: UnitOfWork, kind: str, principal_id: UUID, since: Since) -> None:
    match kind:
        case "user":
            await erase_user(uow, principal_id, since)
        case "team":
            await erase_team(uow, principal_id)
        case _:
            await erase_client(uow, principal_id, since)
