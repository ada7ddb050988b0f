"""What somebody who is logged in does with their own access."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from crm_contracts.access import DepthName, decode
from crm_identity.auth.passwords import hash_password, is_password
from crm_identity.auth.schemas import PasswordChange
from crm_identity.auth.throttle import take
from crm_identity.business_unit.model import BusinessUnit
from crm_identity.organization.model import hold_access
from crm_identity.settings import settings_of
from crm_identity.team.model import Team
from crm_identity.user.commands import change_password
from crm_identity.user.model import User
from crm_kit import clock
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.uow import UnitOfWork


async def describe_caller(uow: UnitOfWork) -> dict[str, Any]:
    """The caller's record where there is one, and the rights their token carries."""
    principal = uow.principal
    row = (await uow.execute(select(*User.__table__.c).where(User.__table__.c.id == principal.id))).one_or_none()
    user = {} if row is None else row._mapping
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
        "name": user.get("name", principal.name),
        "email": user.get("email"),
        "locale": user.get("locale"),
        "time_zone": user.get("time_zone"),
        "business_unit": {"id": principal.unit, "name": names.get(principal.unit)},
        "teams": [{"id": team, "name": names.get(team)} for team in principal.teams],
        "privileges": {
            entity: {privilege.value: DepthName[depth.name].value for privilege, depth in decode(digits).items()}
            for entity, digits in sorted(principal.privileges.items())
        },
    }


async def change_own_password(uow: UnitOfWork, body: PasswordChange) -> None:
    """Replace one's own password: every session ends, this one too."""
    runtime, user_id = uow.runtime, uow.principal.id
    if uow.principal.kind != "user":
        raise DomainError("forbidden", "An API client has no password.")
    async with runtime.db.autocommit() as conn:
        await take(conn, {f"password:{user_id}": settings_of(runtime).tokens_per_account}, clock.now())
        found = await conn.exec_driver_sql("select password_hash from credential where user_id = $1", (user_id,))
        password_hash = found.scalar_one_or_none()
    if not await is_password(body.current_password, password_hash):
        raise InvalidValue("/current_password", "wrong-password", "This is not your password.")
    new_hash = await hash_password(body.new_password)
    since = await hold_access(uow)
    await change_password(uow, await uow.load(User, user_id), new_hash, since)
