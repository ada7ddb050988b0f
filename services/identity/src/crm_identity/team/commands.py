"""Commands on teams."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.identity import TeamCreated, TeamDeleted, TeamUpdated
from crm_identity.access_change.commands import supersede_tokens
from crm_identity.business_unit.commands import require_unit
from crm_identity.organization.model import get_alone, hold_access
from crm_identity.reach.authority import changing_rights
from crm_identity.reach.loading import leave_unit
from crm_identity.removal.commands import begin_removal
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.security_role.grants import refuse_beyond, rights_of_roles
from crm_identity.team.model import Team
from crm_identity.team.schemas import TeamCreate, TeamUpdate
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use


async def create_team(uow: UnitOfWork, body: TeamCreate) -> Team:
    """Create a team without members."""
    await uow.start(Team)
    await hold_access(uow)
    unit_id = body.business_unit_id or uow.principal.unit
    await require_unit(uow, unit_id, "/business_unit_id")
    role_ids = sorted(set(body.role_ids))
    refuse_beyond(uow.principal, await rights_of_roles(uow, role_ids))
    return uow.add(Team(name=body.name, business_unit_id=unit_id, role_ids=role_ids), TeamCreated)


async def update_team(uow: UnitOfWork, team_id: UUID, body: TeamUpdate) -> Team:
    """Change a team. If its roles change, its members need new tokens."""
    team, since = await get_alone(uow, Team, team_id, Privilege.WRITE)
    before, unit, given = team.role_ids, team.business_unit_id, body.model_fields_set
    members = await members_of(uow, team_id)
    async with changing_rights(uow, also=members):
        if "name" in given:
            team.name = body.name
        if "business_unit_id" in given:
            await require_unit(uow, body.business_unit_id, "/business_unit_id")
            team.business_unit_id = body.business_unit_id
        if "role_ids" in given:
            team.role_ids = sorted(set(body.role_ids))
            await rights_of_roles(uow, team.role_ids)
            refuse_beyond(uow.principal, await rights_of_roles(uow, [r for r in team.role_ids if r not in before]))
        uow.emit_if_changed(team, TeamUpdated)
        if team.business_unit_id != unit:
            await leave_unit(uow, team_id, unit)
    if team.role_ids != before:
        await supersede_tokens(uow, members, since)
    return team


async def delete_team(uow: UnitOfWork, team_id: UUID, transfer_to: UUID | None) -> PrincipalRemoval:
    """Begin to delete a team without members."""
    team, _ = await get_alone(uow, Team, team_id, Privilege.DELETE)
    await refuse_in_use(uow, team)
    return await begin_removal(uow, "team", team_id, team.name, transfer_to)


async def erase_team(uow: UnitOfWork, team_id: UUID) -> None:
    """Delete a team that owns no records any more. 409 ``in-use`` if it has members by now."""
    team = await uow.load(Team, team_id)
    await refuse_in_use(uow, team)
    uow.remove(team, TeamDeleted)


async def members_of(uow: UnitOfWork, team_id: UUID) -> list[UUID]:
    """Return the users in a team."""
    found = await (await uow.connection()).exec_driver_sql(
        "select id from user_account where team_ids @> array[$1::uuid]", (team_id,)
    )
    return list(found.scalars())
