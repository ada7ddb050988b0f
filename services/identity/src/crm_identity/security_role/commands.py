"""Commands on security roles."""

from uuid import UUID

from crm_contracts.access import EntityPrivileges, Privilege
from crm_contracts.identity import SecurityRoleCreated, SecurityRoleDeleted, SecurityRoleUpdated
from crm_identity.access_change.commands import supersede_tokens
from crm_identity.organization.model import get_alone
from crm_identity.reach.authority import changing_rights
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_identity.security_role.grants import (
    checked_privileges,
    clients_holding,
    holders_of,
    refuse_beyond,
)
from crm_identity.security_role.model import SecurityRole, grants_of
from crm_identity.security_role.schemas import SecurityRoleCreate, SecurityRoleUpdate
from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use


async def create_role(uow: UnitOfWork, body: SecurityRoleCreate) -> SecurityRole:
    """Create a role. Nobody holds it yet."""
    await uow.start(SecurityRole)
    privileges = checked_privileges(body.privileges)
    refuse_beyond(uow.principal, grants_of(privileges))
    return uow.add(SecurityRole(name=body.name, privileges=privileges), SecurityRoleCreated)


async def update_role(uow: UnitOfWork, role_id: UUID, body: SecurityRoleUpdate) -> SecurityRole:
    """Change a role. Its holders need new tokens."""
    role, since = await get_alone(uow, SecurityRole, role_id, Privilege.WRITE)
    if role_id == ADMINISTRATOR_ID:
        raise DomainError(
            "last-administrator",
            "The Administrator role cannot be changed, because it holds every privilege. Create another role instead.",
        )
    if "name" in body.model_fields_set:
        role.name = body.name
    privileges = dict(role.privileges)
    for entity, held in (body.get("privileges") or {}).items():
        # Stored privileges that the request does not contain stay: a newer release may have stored some that this one
        # does not know.
        before = privileges.pop(entity, {})
        if held is not None:
            changed = {name: getattr(held, name) for name in held.model_fields_set}
            after = EntityPrivileges.stored(before).model_copy(update=changed)
            privileges[entity] = {**before, **checked_privileges({entity: after})[entity]}
    privileges = dict(sorted(privileges.items()))
    before_grants = role.grants
    after_grants = grants_of(privileges)
    if after_grants == before_grants:
        role.privileges = privileges
        return uow.emit_if_changed(role, SecurityRoleUpdated)
    refuse_beyond(uow.principal, {e: d for e, d in after_grants.items() if d != before_grants.get(e)})
    users, clients = await holders_of(uow, role_id), await clients_holding(uow, role_id)
    async with changing_rights(uow, also=[*users, *clients]):
        role.privileges = privileges
        uow.emit(role, SecurityRoleUpdated)
    await supersede_tokens(uow, users, since, clients=clients)
    return role


async def delete_role(uow: UnitOfWork, role_id: UUID) -> None:
    """Delete a role that nobody holds."""
    role, _ = await get_alone(uow, SecurityRole, role_id, Privilege.DELETE)
    if role_id == ADMINISTRATOR_ID:
        raise DomainError(
            "not-deletable", "The Administrator role cannot be deleted, because nobody could grant rights without it."
        )
    await refuse_in_use(uow, role)
    uow.remove(role, SecurityRoleDeleted)
