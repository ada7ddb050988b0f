"""Row-level rights: Dynamics-style privileges with a depth, decided without a call.

A check needs the caller's claims, the row's owner and unit, and the business-unit tree; all three are in memory.
``crm_kit.access.reach`` decides which rows a depth reaches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from crm_contracts.access import Depth, Privilege
from crm_kit.access.reach import Reach, UnitTree
from crm_kit.errors import Forbidden
from crm_kit.store.record import Record

__all__ = ["Depth", "Principal", "Privilege", "Reach", "UnitTree"]

ORDER = {privilege: position for position, privilege in enumerate(Privilege)}


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

    def reach(self, entity: str | type[Record], privilege: Privilege, tree: UnitTree) -> Reach:
        """The rows of an entity that the privilege reaches."""
        if isinstance(entity, str):
            return Reach.at(self.depth(entity, privilege), self.owners, self.unit, tree)
        return self.reach(entity.entity(), privilege, tree).of(entity)

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
