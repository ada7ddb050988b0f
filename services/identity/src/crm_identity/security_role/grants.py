"""The checks of granted privileges, and the holders of roles."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from crm_contracts.access import Depth, DepthName, Privilege, decode, union
from crm_contracts.rights import Right
from crm_contracts.sentences import right_word, said
from crm_identity.security_role.domain import grantable, privileges_on
from crm_identity.security_role.model import SecurityRole, grants_of
from crm_kit.access.privileges import Principal
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.work.uow import UnitOfWork

HOLDERS = (
    "select id from user_account where role_ids @> array[$1::uuid]"
    " or team_ids && array(select id from team where role_ids @> array[$1::uuid])"
)

REACHES = {
    Depth.USER: said("for their own records"),
    Depth.BUSINESS_UNIT: said("for their business unit"),
    Depth.DEEP: said("for their business unit and those below"),
    Depth.ORGANIZATION: said("for the whole organisation"),
}
"""The depths in words."""

CLIENT_HOLDERS = "select id from api_client where role_ids @> array[$1::uuid]"


def checked_privileges(privileges: Mapping[str, Any]) -> dict[str, Any]:
    """Return privileges in stored form.

    422 for an unknown entity or right, a depth that the entity does not support, or a privilege that a right does not have.
    """
    entities = {one.name: one for one in grantable()}
    stored = {}
    for name, held in sorted(privileges.items()):
        if name not in entities:
            raise InvalidValue(
                f"/privileges/{name}",
                "unknown-entity",
                said("Name one of: {allowed}.", allowed=", ".join(sorted(entities))),
            )
        stored[name] = {privilege.value: DepthName(getattr(held, privilege.value)).value for privilege in Privilege}
        known = entities[name]
        meant = {privilege.value for privilege in privileges_on(known)}
        if any(depth != DepthName.NONE and one not in meant for one, depth in stored[name].items()):
            raise InvalidValue(
                f"/privileges/{name}", "invalid-depth", "Grant write only: this right has no other privilege."
            )
        partial = set(stored[name].values()) - {DepthName.NONE, DepthName.ORGANIZATION}
        if partial and not isinstance(known, Right) and not known.owned:
            raise InvalidValue(
                f"/privileges/{name}", "invalid-depth", "Grant organization or none: these records have no owner."
            )
    return stored


def refuse_beyond(principal: Principal, grants: Mapping[str, str]) -> None:
    """Raise 403 if a role would grant more than the caller holds.

    The reached rows are checked when somebody gets the role.
    """
    for entity, digits in grants.items():
        for privilege, depth in decode(digits).items():
            if depth > principal.depth(entity, privilege):
                raise DomainError(
                    "forbidden",
                    said(
                        "You can only grant rights that you hold. This role would grant the privilege '{privilege}' on "
                        "{entity} {reach}. Leave it out, or ask an administrator to create the role.",
                        privilege=privilege.value,
                        entity=right_word(entity),
                        reach=REACHES[depth],
                    ),
                )


async def rights_of_roles(uow: UnitOfWork, role_ids: Sequence[UUID]) -> dict[str, str]:
    """Return the combined grants of these roles. 422 at ``/role_ids`` for an unknown role."""
    if not role_ids:
        return {}
    rows = await uow.execute(select(SecurityRole.privileges).where(SecurityRole.id.in_(role_ids)))
    held = rows.scalars().all()
    if len(held) != len(role_ids):
        raise InvalidValue("/role_ids", "unknown-reference", "There is no such security role.")
    return union(grants_of(privileges) for privileges in held)


async def holders_of(uow: UnitOfWork, role_id: UUID) -> list[UUID]:
    """Return the users who hold a role, directly or through a team."""
    return list((await (await uow.connection()).exec_driver_sql(HOLDERS, (role_id,))).scalars())


async def clients_holding(uow: UnitOfWork, role_id: UUID) -> list[UUID]:
    """Return the API clients that hold a role."""
    return list((await (await uow.connection()).exec_driver_sql(CLIENT_HOLDERS, (role_id,))).scalars())
