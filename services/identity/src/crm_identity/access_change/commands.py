"""Events that make issued tokens invalid."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from crm_contracts.identity import AccessChangeCreated
from crm_identity.access_change.model import AccessChange
from crm_identity.organization.model import Since
from crm_kit.work.uow import UnitOfWork, system_principal

PRINCIPALS_PER_EVENT = 500


async def supersede_tokens(
    uow: UnitOfWork, users: Sequence[UUID], since: Since, *, clients: Sequence[UUID] = ()
) -> None:
    """Invalidate the tokens of these users and API clients from before ``since``, in the transaction of this unit of
    work.

    The service itself writes access changes: the right to change a role does not include the right to write them.
    """
    await uow.flush()  # The cause is emitted before its consequences.
    system = UnitOfWork(
        uow.runtime,
        system_principal(uow.runtime.service),
        replace(uow.cause, actor=uow.cause.actor or uow.principal.actor),
        conn=await uow.connection(),
    )
    ordered = [("user", user) for user in sorted(users)] + [("client", client) for client in sorted(clients)]
    for start in range(0, len(ordered), PRINCIPALS_PER_EVENT):
        principals = [{"type": kind, "id": str(id_)} for kind, id_ in ordered[start : start + PRINCIPALS_PER_EVENT]]
        change = AccessChange(principals=principals, not_before=since.moment, sequence=since.sequence)
        system.add(change, AccessChangeCreated)
    await system.flush()
