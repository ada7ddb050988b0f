"""Whose records a caller may read, for rows of many entities at once: the depth rule with a depth per row's type."""

from crm_contracts.access import Depth, Privilege
from crm_kit.access.privileges import Principal, UnitTree
from crm_kit.records.filtering import Parameters


class Reach:
    """The caller's read privileges as parameters; one text of SQL for every caller, so that it is planned once."""

    def __init__(self, principal: Principal, tree: UnitTree, parameters: Parameters) -> None:
        types: dict[Depth, list[str]] = {depth: [] for depth in Depth}
        for entity in sorted(principal.privileges):
            types[principal.depth(entity, Privilege.READ)].append(entity)
        self._all = parameters.add(types[Depth.ORGANIZATION], "text[]")
        self._some = parameters.add([t for depth in (1, 2, 3) for t in types[Depth(depth)]], "text[]")
        self._unit = parameters.add(types[Depth.BUSINESS_UNIT], "text[]")
        self._deep = parameters.add(types[Depth.DEEP], "text[]")
        self._owners = parameters.add(list(principal.owners), "uuid[]")
        self._own_unit = parameters.add(principal.unit, "uuid")
        self._below = parameters.add(sorted(tree.below(principal.unit)), "uuid[]")

    def organization(self, row: str) -> str:
        """The rows of types that are read throughout the organisation. ``row`` has type, owner_id, business_unit_id."""
        return f"{row}.type = any({self._all})"

    def narrower(self, row: str) -> str:
        """The rows of types that are read by owner or unit, and are within that."""
        return (
            f"({row}.type = any({self._some}) and {row}.owner_id = any({self._owners})"
            f" or {row}.type = any({self._unit}) and {row}.business_unit_id = {self._own_unit}"
            f" or {row}.type = any({self._deep}) and {row}.business_unit_id = any({self._below}))"
        )
