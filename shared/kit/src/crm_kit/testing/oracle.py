"""The depth rule, written directly from its specification. Tests compare ``crm_kit.access`` with it."""

from collections.abc import Mapping
from uuid import UUID

from crm_contracts.access import PRIVILEGES, Privilege
from crm_kit.access.privileges import Principal


def naively_covers(
    caller: Principal,
    entity: str,
    owner: UUID | None,
    unit: UUID | None,
    parents: Mapping[UUID, UUID | None],
    privilege: Privilege = Privilege.READ,
) -> bool:
    """Whether the caller's privilege on an entity reaches a row with this owner and unit. ``parents`` has the parent of each
    unit."""
    depth = int(caller.privileges.get(entity, "00000")[PRIVILEGES.index(privilege)])
    if owner is None:
        return depth == 4
    mine = owner == caller.id or owner in caller.teams
    above: list[UUID] = []
    at = unit
    while at is not None:
        above.append(at)
        at = parents.get(at)
    return [False, mine, mine or unit == caller.unit, mine or caller.unit in above, True][depth]
