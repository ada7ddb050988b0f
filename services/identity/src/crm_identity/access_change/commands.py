"""Telling everybody that tokens issued so far are void."""

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
    """Make void what these users and API clients were issued before ``since``, in this unit of work's transaction.

    Whoever may change a role may not thereby write access changes at will: the service itself writes them.
    """
    await uow.flush()  # what was changed is told before what follows from it
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
