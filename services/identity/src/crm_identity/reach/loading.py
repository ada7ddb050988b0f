"""Load the current rights that a check of reach needs, within a unit of work."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import orjson

from crm_contracts.access import union
from crm_identity.reach.domain import Holder, Snapshot, World
from crm_identity.security_role.model import grants_of
from crm_kit.access.privileges import Principal, UnitTree
from crm_kit.work.uow import UnitOfWork

HOLDERS = """
select u.id, u.business_unit_id, u.team_ids,
    array(select unnest(u.role_ids) union select unnest(t.role_ids) from team t where t.id = any(u.team_ids))
from user_account u where u.id = any($1::uuid[])
union all
select c.id, c.business_unit_id, array[]::uuid[], c.role_ids from api_client c where c.id = any($1::uuid[])
"""

ROLES = "select id, privileges::text from security_role where id = any($1::uuid[])"

UNITS = "select id, parent_id from business_unit"

HOMES = """
select id, business_unit_id from user_account where id = any($1::uuid[])
union select id, business_unit_id from api_client where id = any($1::uuid[])
union select id, business_unit_id from team where id = any($1::uuid[])
union select owner_id, unit_id from former_unit where owner_id = any($1::uuid[])
"""

LEAVE = "insert into former_unit (owner_id, unit_id) values ($1, $2) on conflict do nothing"


def holder_of(principal: Principal) -> Holder:
    """Return the caller as described by the token."""
    return Holder(
        id=principal.id,
        unit=principal.unit,
        teams=frozenset(principal.teams),
        grants=principal.privileges,
    )


async def look(uow: UnitOfWork, actor: Holder, ids: Collection[UUID]) -> Snapshot:
    """Return the existing users and API clients of these ids with everything that the rules need."""
    found = await _rows(uow, HOLDERS, list(ids))
    roles = await _rows(uow, ROLES, list({role for row in found for role in row[3]}))
    grants = {role: grants_of(orjson.loads(privileges)) for role, privileges in roles}
    holders = {
        id_: Holder(
            id=id_,
            unit=unit,
            teams=frozenset(teams),
            grants=union(grants[role] for role in role_ids if role in grants),
        )
        for id_, unit, teams, role_ids in found
    }
    owners = {owner for holder in (actor, *holders.values()) for owner in holder.owners}
    homes: dict[UUID, set[UUID]] = {actor.id: {actor.unit}}
    for owner, unit in await _rows(uow, HOMES, list(owners)):
        homes.setdefault(owner, set()).add(unit)
    tree = UnitTree({row[0]: row[1] for row in await _rows(uow, UNITS)})
    return Snapshot(holders, World(tree.below, {owner: frozenset(units) for owner, units in homes.items()}))


async def leave_unit(uow: UnitOfWork, owner_id: UUID, unit_id: UUID) -> None:
    """Record that an owner was in a unit: the owner's rows stay there after a move."""
    await (await uow.transaction()).exec_driver_sql(LEAVE, (owner_id, unit_id))


async def _rows(uow: UnitOfWork, sql: str, *parameters: object) -> Sequence[Any]:
    return (await (await uow.connection()).exec_driver_sql(sql, parameters)).all()
