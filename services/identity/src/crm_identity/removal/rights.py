"""Who may remove a user, team or API client, and cancel that."""

from crm_contracts.access import Depth, Privilege
from crm_contracts.catalogue import all_entities
from crm_kit.store.record import DepthOf


def not_assignable(depth: DepthOf) -> str | None:
    """Return an entity of which the caller may not assign every record of the organisation; None if there is no such entity."""
    for entity in all_entities():
        if entity.owned and depth(entity.name, Privilege.ASSIGN) is not Depth.ORGANIZATION:
            return entity.name
    return None


def deletes(principal_type: str) -> str:
    """Return the entity whose privilege delete the deletion needs."""
    return "api_client" if principal_type == "client" else principal_type


def may_cancel(depth: DepthOf, principal_type: str) -> bool:
    """Whether the caller has the privileges of the deletion."""
    return depth(deletes(principal_type), Privilege.DELETE) is not Depth.NONE and not_assignable(depth) is None
