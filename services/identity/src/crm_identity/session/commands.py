"""Sessions of users: which there are, and how one is ended."""

from typing import Any
from uuid import UUID

from crm_contracts.access import Privilege
from crm_identity.access_change.commands import supersede_tokens
from crm_identity.auth.sessions import end_family
from crm_identity.organization.model import get_alone, hold_access
from crm_identity.user.model import User
from crm_kit.errors import NotFound
from crm_kit.work.uow import UnitOfWork

# Of each session one token has not been used. The index ix_refresh_token_live has these rows in this order.
LIVE = (
    "select family_id as id, user_id, coalesce(began_at, issued_at) as began_at, issued_at as last_used_at, expires_at,"
    " address, user_agent from refresh_token"
    " where user_id = $1 and spent_at is null and revoked_at is null and expires_at > $2"
)
PAGE = f"{LIVE} and ($3::uuid is null or family_id < $3) order by family_id desc limit $4"
OWNER = "select user_id from refresh_token where family_id = $1 and spent_at is null and revoked_at is null and expires_at > $2"


async def list_sessions(uow: UnitOfWork, user_id: UUID | None, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Return the sessions of a user that have not ended, the last log-in first: of the caller unless a user is given.

    403 unless the caller may change that user.
    """
    if user_id is None or user_id == uow.principal.id:
        user_id = uow.principal.id
    else:
        await uow.get(User, user_id, Privilege.WRITE)
    found = await (await uow.connection()).exec_driver_sql(PAGE, (user_id, uow.now, after, limit))
    return [dict(row) for row in found.mappings()]


async def end_session(uow: UnitOfWork, session_id: UUID) -> None:
    """End a session of the caller, or of a user whom the caller may change. Its access token is refused within 2 s.

    404 for a session that has ended or that the caller may not see. The user's other sessions refresh their tokens.
    """
    found = await (await uow.connection()).exec_driver_sql(OWNER, (session_id, uow.now))
    user_id: UUID | None = found.scalar_one_or_none()
    if user_id is None:
        raise NotFound("session")
    if user_id == uow.principal.id:
        since = await hold_access(uow)
    else:
        _, since = await get_alone(uow, User, user_id, Privilege.WRITE)
    await end_family(await uow.connection(), session_id, since.moment)
    await supersede_tokens(uow, [user_id], since)
