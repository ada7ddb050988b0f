"""What logged-in users do with their own access."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from crm_contracts.access import DepthName, decode
from crm_identity.api_client.model import ApiClient
from crm_identity.auth.lockout import count_failure, forget_failures, refuse_locked
from crm_identity.auth.passwords import hash_password, is_password
from crm_identity.auth.schemas import PasswordChange
from crm_identity.auth.throttle import take
from crm_identity.business_unit.model import BusinessUnit
from crm_identity.organization.model import hold_access
from crm_identity.settings import settings_of
from crm_identity.team.model import Team
from crm_identity.user.commands import change_password, refuse_own_guessable
from crm_identity.user.model import User
from crm_kit import clock
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.work.uow import UnitOfWork


async def describe_caller(uow: UnitOfWork) -> dict[str, Any]:
    """Return the caller's record, if there is one, and the rights in the token."""
    principal = uow.principal
    table = (User if principal.kind == "user" else ApiClient).__table__
    row = (await uow.execute(select(*table.c).where(table.c.id == principal.id))).one_or_none()
    caller = {} if row is None else row._mapping
    units = await uow.execute(
        select(BusinessUnit.id, BusinessUnit.name)
        .where(BusinessUnit.id == principal.unit)
        .union_all(select(Team.id, Team.name).where(Team.id.in_(principal.teams)))
    )
    rows: Sequence[Any] = units.all()
    names = {row[0]: row[1] for row in rows}
    return {
        "id": principal.id,
        "kind": principal.kind,
        "name": caller.get("name", principal.name),
        "email": caller.get("email"),
        "locale": caller.get("locale"),
        "time_zone": caller.get("time_zone"),
        "business_unit": {"id": principal.unit, "name": names.get(principal.unit)},
        "teams": [{"id": team, "name": names.get(team)} for team in principal.teams],
        "privileges": {
            entity: {privilege.value: DepthName[depth.name].value for privilege, depth in decode(digits).items()}
            for entity, digits in sorted(principal.privileges.items())
        },
    }


async def change_own_password(uow: UnitOfWork, body: PasswordChange) -> None:
    """Replace the caller's own password. All of the caller's sessions end, including the current one."""
    runtime, user_id = uow.runtime, uow.principal.id
    if uow.principal.kind != "user":
        raise DomainError("forbidden", "An API client has no password. Log in as a user.")
    settings, tries = settings_of(runtime), f"password:{user_id}"
    async with runtime.db.autocommit() as conn:
        await take(conn, {tries: settings.tokens_per_account}, clock.now())
        await refuse_locked(conn, tries, clock.now())
        found = await conn.exec_driver_sql("select password_hash from credential where user_id = $1", (user_id,))
        password_hash = found.scalar_one_or_none()
    if not await is_password(body.current_password, password_hash):
        async with runtime.db.autocommit() as conn:
            await count_failure(conn, tries, settings, clock.now())
        raise InvalidValue("/current_password", "wrong-password", "Send your current password: this one is wrong.")
    await forget_failures(await uow.connection(), tries)
    new_hash = await hash_password(body.new_password)
    since = await hold_access(uow)
    user = await uow.load(User, user_id)
    await refuse_own_guessable(uow, user, body.new_password)
    await change_password(uow, user, new_hash, since)
