"""Row-level rights: Dynamics-style privileges with a depth, decided without a call.

A check needs the caller's claims, the row's owner and unit, and the business-unit tree; all three are in memory.
The same rule is written twice on purpose: ``Principal.covers`` for a loaded row and ``visible`` for SQL.
A property test compares both with a naive oracle.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, false, or_, true

from crm_contracts.access import Depth, Privilege
from crm_kit.errors import Forbidden
from crm_kit.store.record import OwnedRecord, Record

__all__ = ["Depth", "Principal", "Privilege", "UnitTree", "visible"]

ORDER = {privilege: position for position, privilege in enumerate(Privilege)}


class UnitTree:
    """The tree of business units, for depth *unit and below*."""

    def __init__(self, parents: Mapping[UUID, UUID | None]) -> None:
        self._parents = dict(parents)
        self._children: dict[UUID, list[UUID]] = {}
        for unit, parent in self._parents.items():
            if parent is not None:
                self._children.setdefault(parent, []).append(unit)
        self._below: dict[UUID, frozenset[UUID]] = {}

    def below(self, unit: UUID) -> frozenset[UUID]:
        """``unit`` and every unit below it; a unit that this service does not know yet has none below it."""
        known = self._below.get(unit)
        if known is None:
            found, waiting = {unit}, [unit]
            while waiting:
                for child in self._children.get(waiting.pop(), ()):
                    if child not in found:
                        found.add(child)
                        waiting.append(child)
            known = self._below[unit] = frozenset(found)
        return known


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller: a user, an API client, or ``system:<service>`` for consumers and timers, which may do everything."""

    id: UUID
    kind: str
    unit: UUID
    teams: tuple[UUID, ...] = ()
    privileges: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    issued_at: float = 0.0
    sequence: int | None = None
    """The count of changes of access that the token knows of."""

    def depth(self, entity: str, privilege: Privilege) -> Depth:
        """How far the caller's privilege on an entity reaches; an entity no role names is at depth none."""
        if self.kind == "system":
            return Depth.ORGANIZATION
        digits = self.privileges.get(entity)
        return Depth(int(digits[ORDER[privilege]])) if digits else Depth.NONE

    def require(self, entity: str, privilege: Privilege) -> Depth:
        """The depth, or 403 when the caller does not hold the privilege at all."""
        depth = self.depth(entity, privilege)
        if depth is Depth.NONE:
            raise Forbidden(privilege.value, entity)
        return depth

    def covers(self, entity: str, privilege: Privilege, owner: UUID | None, unit: UUID | None, tree: UnitTree) -> bool:
        """Does the privilege reach a row with this owner and unit? Rows without an owner belong to the organisation."""
        depth = self.depth(entity, privilege)
        if depth is Depth.ORGANIZATION:
            return True
        if depth is Depth.NONE or owner is None:
            return False
        if owner == self.id or owner in self.teams:
            return True
        if depth is Depth.BUSINESS_UNIT:
            return unit == self.unit
        return depth is Depth.DEEP and unit in tree.below(self.unit)

    def covers_record(self, privilege: Privilege, record: Record, tree: UnitTree) -> bool:
        """``covers`` for a record in hand."""
        if isinstance(record, OwnedRecord):
            return self.covers(record.entity(), privilege, record.owner_id, record.business_unit_id, tree)
        return self.covers(record.entity(), privilege, None, None, tree)

    @property
    def actor(self) -> str:
        """How events and history name the caller: ``user:<id>``, ``client:<id>`` or ``system:<service>``."""
        return f"{self.kind}:{self.name if self.kind == 'system' else self.id}"

    @property
    def author(self) -> UUID | None:
        """What ``created_by`` and ``modified_by`` say; null for the system."""
        return None if self.kind == "system" else self.id

    @property
    def owners(self) -> tuple[UUID, ...]:
        """Whose rows are *mine*: my own and my teams'."""
        return (self.id, *self.teams)


def visible(
    entity: type[Record], principal: Principal, tree: UnitTree, privilege: Privilege = Privilege.READ
) -> ColumnElement[bool]:
    """The depth rule as a predicate over the rows of ``entity``."""
    depth = principal.depth(entity.entity(), privilege)
    if depth is Depth.ORGANIZATION:
        return true()
    if depth is Depth.NONE or not issubclass(entity, OwnedRecord):
        return false()
    mine = entity.owner_id.in_(principal.owners)
    units = units_of(principal, depth, tree)
    return or_(mine, entity.business_unit_id.in_(units)) if units else mine


def units_of(principal: Principal, depth: Depth, tree: UnitTree) -> list[UUID]:
    """The units whose rows a depth adds to the caller's own."""
    if depth is Depth.BUSINESS_UNIT:
        return [principal.unit]
    if depth is Depth.DEEP:
        return sorted(tree.below(principal.unit))
    return []
