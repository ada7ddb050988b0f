"""The rules on who may change whose rights. Every command that changes rights uses them.

1. Nobody can give or take over rights on rows that they do not reach themselves.

2. Only holders of all rights of an administrator can change that administrator.

3. At least one user who can log in is an administrator. An operator's command makes one if there is none.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from uuid import UUID

from crm_contracts.access import Depth
from crm_identity.reach.domain import gap_between, refusal_of_change, refusal_to_touch
from crm_identity.reach.loading import holder_of, look
from crm_identity.security_role.domain import ADMINISTRATOR_ID, grantable, privileges_on
from crm_kit.access.privileges import Principal
from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork

AN_ADMINISTRATOR = (
    "select exists (select from user_account u join credential c on c.user_id = u.id where u.status = 'active'"
    " and ($1 = any(u.role_ids)"
    " or exists (select from team t where t.id = any(u.team_ids) and $1 = any(t.role_ids))) and u.id is distinct from $2)"
)


@asynccontextmanager
async def changing_rights(
    uow: UnitOfWork, changed: UUID | None = None, also: Collection[UUID] = ()
) -> AsyncIterator[None]:
    """Check a change of rights that happens in the block.

    403 if it gives more than the caller holds, or changes an administrator whose rights the caller does not hold. 409
    ``last-administrator`` if no administrator would be left.

    ``changed`` is the user or client that the command changes. ``also`` are others whose rights can change by it. Call
    this while ``hold_access`` is in effect.
    """
    had = await has_administrator(uow)
    if holds_everything(uow.principal):
        yield
        await uow.flush()
    else:
        async with _judged(uow, changed, also):
            yield
    if had and not await has_administrator(uow):
        raise _last_administrator()


async def refuse_last_administrator(uow: UnitOfWork, user_id: UUID) -> None:
    """Raise 409 ``last-administrator`` if no administrator would be left without this user."""
    if await has_administrator(uow) and not await has_administrator(uow, without=user_id):
        raise _last_administrator()


def _last_administrator() -> DomainError:
    return DomainError(
        "last-administrator",
        "At least one user who can log in must hold the Administrator role. Give it to another user first.",
    )


@asynccontextmanager
async def _judged(uow: UnitOfWork, changed: UUID | None, also: Collection[UUID]) -> AsyncIterator[None]:
    actor = holder_of(uow.principal)
    ids = {actor.id, *also, *(() if changed is None else (changed,))}
    before = await look(uow, actor, ids)
    here = actor.id in before.holders
    before.holders.setdefault(actor.id, actor)
    if changed in before.holders:
        _refuse(refusal_to_touch(actor, before.holders[changed], before.world))
    yield
    await uow.flush()
    after = await look(uow, actor, ids)
    if not here:
        after.holders[actor.id] = actor
    _refuse(refusal_of_change(actor, before, after))


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise DomainError("forbidden", reason)


async def refuse_taking_over(uow: UnitOfWork, holder_id: UUID) -> None:
    """Raise 403 unless the caller reaches everything that a user or client reaches, as somebody who could act as them."""
    if holds_everything(uow.principal):
        return
    actor = holder_of(uow.principal)
    found = await look(uow, actor, [holder_id])
    for holder in found.holders.values():
        gap = gap_between(actor, holder, found.world)
        _refuse(None if gap is None else str(gap))


async def has_administrator(uow: UnitOfWork, without: UUID | None = None) -> bool:
    """Whether a user who can log in holds the administrator role, besides the user ``without``."""
    found = await (await uow.connection()).exec_driver_sql(AN_ADMINISTRATOR, (ADMINISTRATOR_ID, without))
    return bool(found.scalar_one())


def holds_everything(principal: Principal) -> bool:
    """Whether the caller holds every privilege on every entity, and every right, at the greatest depth."""
    return all(
        principal.depth(one.name, privilege) is Depth.ORGANIZATION
        for one in grantable()
        for privilege in privileges_on(one)
    )
