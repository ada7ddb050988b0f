"""Commands on users."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.identity import UserCreated, UserDeleted, UserDisabled, UserEnabled, UserUpdated
from crm_identity.access_change.commands import supersede_tokens
from crm_identity.auth.lockout import unlock
from crm_identity.auth.passwords import hash_password
from crm_identity.auth.sessions import end_sessions, keep_password
from crm_identity.auth.strength import refuse_guessable
from crm_identity.auth.throttle import account_key
from crm_identity.business_unit.commands import require_unit
from crm_identity.organization.model import Since, get_alone, hold_access
from crm_identity.reach.authority import changing_rights, refuse_last_administrator, refuse_taking_over
from crm_identity.reach.loading import leave_unit
from crm_identity.removal.commands import begin_removal, refuse_while_removed
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.security_role.grants import rights_of_roles
from crm_identity.user.model import User
from crm_identity.user.schemas import PasswordReset, UserCreate, UserUpdate
from crm_kit.errors import InvalidValue
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

RIGHTS = ("business_unit_id", "team_ids", "role_ids")
"""Fields that tokens contain. Changing one invalidates older tokens."""


async def create_user(uow: UnitOfWork, body: UserCreate) -> User:
    """Create a user, with or without a password."""
    await uow.start(User)
    if body.password is not None:
        await refuse_guessable("/password", body.password, _context(uow, body.email, body.name))
    password_hash = None if body.password is None else await hash_password(body.password)
    await hold_access(uow)
    values: dict[str, Any] = dict(body)
    del values["password"]
    values["business_unit_id"] = body.business_unit_id or uow.principal.unit
    await _check_references(uow, values)
    user = User(id=new_id(), **values)
    async with changing_rights(uow, user.id):
        uow.add(user, UserCreated)
    if password_hash is not None:
        await keep_password(await uow.connection(), user.id, password_hash, uow.now)
    return user


async def update_user(uow: UnitOfWork, user_id: UUID, body: UserUpdate) -> User:
    """Change a user. If unit, teams or roles change, the user needs a new token."""
    user, since = await get_alone(uow, User, user_id, Privilege.WRITE)
    before = {name: getattr(user, name) for name in RIGHTS}
    values = body.onto(user)
    await _check_references(uow, values)
    if values.get("email", user.email) != user.email:
        # The e-mail address is the log-in name: whoever receives its mail could take over the account.
        await refuse_taking_over(uow, user_id)
    async with changing_rights(uow, user_id):
        for name, value in values.items():
            setattr(user, name, value)
        uow.emit_if_changed(user, UserUpdated)
        if user.business_unit_id != before["business_unit_id"]:
            await leave_unit(uow, user_id, before["business_unit_id"])
    if before != {name: getattr(user, name) for name in RIGHTS}:
        await supersede_tokens(uow, [user_id], since)
    return user


async def disable_user(uow: UnitOfWork, user_id: UUID) -> User:
    """Disable a user. Their tokens become invalid and their sessions end."""
    user, since = await get_alone(uow, User, user_id, Privilege.WRITE)
    async with changing_rights(uow, user_id):
        user.disable()
        uow.emit(user, UserDisabled)
    await end_sessions(await uow.connection(), user_id, since.moment)
    await supersede_tokens(uow, [user_id], since)
    return user


async def enable_user(uow: UnitOfWork, user_id: UUID) -> User:
    """Enable a user and end any lock-out. Tokens from before the user was disabled stay invalid."""
    user, since = await get_alone(uow, User, user_id, Privilege.WRITE)
    await refuse_while_removed(uow, user_id)
    async with changing_rights(uow, user_id):
        user.enable()
        uow.emit(user, UserEnabled)
    await unlock(await uow.connection(), account_key(user.email))
    await supersede_tokens(uow, [user_id], since)
    return user


async def reset_password(uow: UnitOfWork, user_id: UUID, body: PasswordReset) -> User:
    """Set a user's password and end a lock-out.

    The record does not change, but the history contains the event.
    """
    uow.principal.require(User.entity(), Privilege.WRITE)
    password_hash = await hash_password(body.password)
    user, since = await get_alone(uow, User, user_id, Privilege.WRITE)
    await refuse_taking_over(uow, user_id)
    await refuse_guessable("/password", body.password, _context(uow, user.email, user.name))
    await change_password(uow, user, password_hash, since)
    await unlock(await uow.connection(), account_key(user.email))
    return user


def _context(uow: UnitOfWork, email: str, name: str) -> tuple[str | None, ...]:
    return email, name, uow.runtime.directory.organization.name


async def refuse_own_guessable(uow: UnitOfWork, user: User, password: str) -> None:
    """Raise 422 ``guessable-password`` for a weak password that users chose for themselves."""
    await refuse_guessable("/new_password", password, _context(uow, user.email, user.name))


async def change_password(uow: UnitOfWork, user: User, password_hash: str, since: Since) -> None:
    """Replace the password of a locked user record. Every token and session of the old password ends."""
    conn = await uow.connection()
    await keep_password(conn, user.id, password_hash, uow.now)
    await end_sessions(conn, user.id, since.moment)
    uow.emit(user, UserUpdated)
    await supersede_tokens(uow, [user.id], since)


async def delete_user(uow: UnitOfWork, user_id: UUID, transfer_to: UUID | None) -> PrincipalRemoval:
    """Begin to delete a user. With ``transfer_to``, the user is disabled until all records have their new owner."""
    user, since = await get_alone(uow, User, user_id, Privilege.DELETE)
    async with changing_rights(uow, user_id):
        await refuse_last_administrator(uow, user_id)
        removal = await begin_removal(uow, "user", user_id, user.name, transfer_to)
        disables = removal.transfer and user.status == "active"
        if disables:
            user.disable()
            uow.emit(user, UserDisabled)
    if disables:
        await end_sessions(await uow.connection(), user_id, since.moment)
        await supersede_tokens(uow, [user_id], since)
    return removal


async def erase_user(uow: UnitOfWork, user_id: UUID, since: Since) -> None:
    """Delete a user who owns no records any more."""
    user = await uow.load(User, user_id)
    await refuse_last_administrator(uow, user_id)
    uow.remove(user, UserDeleted)
    await supersede_tokens(uow, [user_id], since)


async def _check_references(uow: UnitOfWork, values: dict[str, Any]) -> None:
    """Check that all referenced records exist. Sort the lists of ids and remove duplicates."""
    if "business_unit_id" in values:
        await require_unit(uow, values["business_unit_id"], "/business_unit_id")
    if "role_ids" in values:
        values["role_ids"] = sorted(set(values["role_ids"]))
        await rights_of_roles(uow, values["role_ids"])
    if "team_ids" in values:
        values["team_ids"] = sorted(set(values["team_ids"]))
        await _require_teams(uow, values["team_ids"])


async def _require_teams(uow: UnitOfWork, team_ids: Sequence[UUID]) -> None:
    found = await (await uow.connection()).exec_driver_sql(
        "select count(*) from team where id = any($1::uuid[])", (list(team_ids),)
    )
    if found.scalar_one() != len(team_ids):
        raise InvalidValue("/team_ids", "unknown-reference", "There is no such team.")
