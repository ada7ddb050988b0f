"""Which rows a privilege reaches: the depth rule of Dynamics, written once in ``Reach.at``.

A ``Reach`` answers for a row in hand (``covers``), as a predicate of SQLAlchemy (``predicate``), and as text with parameters
(``bound``): a condition on a row, or the branches of a keyset page. A property test holds all of them against a naive oracle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import ColumnElement, false, or_, true

from crm_contracts.access import Depth
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import OwnedRecord, Record

NO_UNITS: frozenset[UUID] = frozenset()


class UnitTree:
    """The business units and what lies below each, for depth *unit and below*."""

    def __init__(self, parents: Mapping[UUID, UUID | None]) -> None:
        self._parents = dict(parents)
        self._children: dict[UUID, list[UUID]] = {}
        for unit, parent in self._parents.items():
            if parent is not None:
                self._children.setdefault(parent, []).append(unit)
        self._below: dict[UUID, frozenset[UUID]] = {}

    def below(self, unit: UUID) -> frozenset[UUID]:
        """``unit`` and every unit under it; a unit this service has not heard of yet is alone."""
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
class Reach:
    """The rows that somebody reaches: all rows, or those of some owners and those of some business units.

    Rows without an owner belong to the organisation: only who reaches everything reaches them.
    """

    everything: bool = False
    owners: tuple[UUID, ...] = ()
    units: frozenset[UUID] = NO_UNITS

    @classmethod
    def at(cls, depth: Depth, owners: tuple[UUID, ...], unit: UUID, tree: UnitTree) -> Self:
        """What a depth reaches for who owns as ``owners`` and stands in ``unit``; each depth includes the one before."""
        match depth:
            case Depth.NONE:
                return cls()
            case Depth.USER:
                return cls(owners=owners)
            case Depth.BUSINESS_UNIT:
                return cls(owners=owners, units=frozenset((unit,)))
            case Depth.DEEP:
                return cls(owners=owners, units=tree.below(unit))
            case Depth.ORGANIZATION:
                return cls(everything=True)

    @property
    def nothing(self) -> bool:
        """Whether no row is reached."""
        return not (self.everything or self.owners or self.units)

    def covers(self, owner: UUID | None, unit: UUID | None) -> bool:
        """Whether a row with this owner and unit is reached."""
        if self.everything or owner is None:
            return self.everything
        return owner in self.owners or unit in self.units

    def of(self, entity: type[Record]) -> Self:
        """What of it are rows of this entity."""
        return self if self.everything or issubclass(entity, OwnedRecord) else type(self)()

    def covers_record(self, record: Record) -> bool:
        """``covers`` for a record in hand."""
        if isinstance(record, OwnedRecord):
            return self.covers(record.owner_id, record.business_unit_id)
        return self.everything

    def predicate(self, entity: type[Record]) -> ColumnElement[bool]:
        """The rows of ``entity`` that are reached."""
        if self.everything:
            return true()
        if self.nothing or not issubclass(entity, OwnedRecord):
            return false()
        mine = entity.owner_id.in_(self.owners)
        return or_(mine, entity.business_unit_id.in_(sorted(self.units))) if self.units else mine

    def bound(self, parameters: Parameters) -> "BoundReach":
        """The same as SQL text. It depends on the depth only, not on how many owners and units there are."""
        if self.everything or self.nothing:
            return BoundReach(self.everything)
        owners = parameters.add(list(self.owners), "uuid[]")
        return BoundReach(False, owners, parameters.add(sorted(self.units), "uuid[]") if self.units else None)


@dataclass(frozen=True, slots=True)
class BoundReach:
    """A reach whose owners and units are parameters of a statement: arrays, each under its placeholder."""

    everything: bool
    owners: str | None = None
    units: str | None = None

    def covers(self, row: str = "t") -> str:
        """The condition on a row by this name, or on the row of a statement that has only one."""
        if self.owners is None:
            return "true" if self.everything else "false"
        of_row = f"{row}." if row else ""
        mine = f"{of_row}owner_id = any({self.owners})"
        return mine if self.units is None else f"({mine} or {of_row}business_unit_id = any({self.units}))"

    @property
    def sources(self) -> list[tuple[str, str]]:
        """Where the rows ``t`` of a keyset page come from: a (FROM item, condition) for owners, and one for units. A row may
        come from both."""
        if self.owners is None:
            return [("", "" if self.everything else "false")]
        sources = [(f"unnest({self.owners}) o (id)", "t.owner_id = o.id")]
        if self.units is not None:
            sources.append((f"unnest({self.units}) u (id)", "t.business_unit_id = u.id"))
        return sources
