"""Whose records of many entities a caller reads: the depth rule with a depth for the type of each row."""

from crm_contracts.access import Depth, Privilege
from crm_kit.access.privileges import Principal
from crm_kit.access.reach import Reach, UnitTree
from crm_kit.store.parameters import Parameters


class ReachByType:
    """What a caller reads of many entities, for rows that have ``type``, ``owner_id`` and ``business_unit_id``.

    The text is the same for every caller, so that it is planned once.
    """

    def __init__(self, principal: Principal, tree: UnitTree, parameters: Parameters) -> None:
        types: dict[Depth, list[str]] = {depth: [] for depth in Depth}
        for entity in sorted(principal.privileges):
            types[principal.depth(entity, Privilege.READ)].append(entity)
        self._all = parameters.add(types[Depth.ORGANIZATION], "text[]")
        self._some = [
            (
                parameters.add(types[depth], "text[]"),
                Reach.at(depth, principal.owners, principal.unit, tree).bound(parameters),
            )
            for depth in (Depth.USER, Depth.BUSINESS_UNIT, Depth.DEEP)
        ]

    def everything(self, row: str) -> str:
        """The condition on rows of types of which everything is read."""
        return f"{row}.type = any({self._all})"

    def some(self, row: str) -> str:
        """The condition on rows of the other types."""
        return f"({' or '.join(f'{row}.type = any({types}) and {reach.covers(row)}' for types, reach in self._some)})"
