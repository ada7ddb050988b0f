"""The rows that rights reach, and the check that given or taken rights are within the caller's own.

Depths alone cannot be compared: *unit* reaches different rows from different units. Rights are therefore compared as
sets of rows, and by depth as well, because a deeper privilege also reaches rows that will be added below its unit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from crm_contracts.access import Depth, Grants, Privilege, decode, depth_of

NO_ROWS: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A user or API client with the rights that a token would contain, whether or not they may get one now."""

    id: UUID
    unit: UUID
    teams: frozenset[UUID]
    grants: Grants

    @property
    def owners(self) -> frozenset[UUID]:
        """The principals whose rows count as their own."""
        return self.teams | {self.id}

    @property
    def is_administrator(self) -> bool:
        """Whether they can give rights: they may write all users and security roles."""
        return all(
            depth_of(self.grants, entity, Privilege.WRITE) is Depth.ORGANIZATION for entity in ("user", "security_role")
        )


@dataclass(frozen=True, slots=True)
class World:
    """The units below each unit, and the units of each owner's rows: the owner's current and former units."""

    below: Callable[[UUID], frozenset[UUID]]
    homes: Mapping[UUID, frozenset[UUID]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Holders, and the world in which their rights reach rows."""

    holders: dict[UUID, Holder]
    world: World


@dataclass(frozen=True, slots=True)
class Rows:
    """A set of rows: all rows, those of some units, and those of some owners in some units."""

    everything: bool = False
    units: frozenset[UUID] = NO_ROWS
    owned: frozenset[tuple[UUID, UUID]] = frozenset()

    def without(self, other: "Rows") -> "Rows":
        """Return the rows that are not among the others."""
        if other.everything:
            return Rows()
        units = self.units - other.units
        owned = frozenset(pair for pair in self.owned - other.owned if pair[1] not in other.units)
        return Rows(self.everything, units, owned)

    def __bool__(self) -> bool:
        return self.everything or bool(self.units) or bool(self.owned)


@dataclass(frozen=True, slots=True)
class Gap:
    """A privilege that somebody would give or take over without holding it to that extent."""

    entity: str
    privilege: Privilege
    depth: Depth
    too_deep: bool
    """Whether the depth is greater than theirs. Otherwise it is the same depth for other rows."""

    def __str__(self) -> str:
        which = f"at depth {self.depth.name.lower()}" if self.too_deep else "for records that you do not reach"
        held = f"This needs the privilege '{self.privilege.value}' on {self.entity} {which}"
        return f"{held}, but you can only give or take over rights that you hold. Ask an administrator to do it."


def rows_of(holder: Holder, depth: Depth, world: World) -> Rows:
    """Return the rows that the holder reaches at a depth: the same rule as ``crm_kit.access.reach``."""
    match depth:
        case Depth.NONE:
            return Rows()
        case Depth.ORGANIZATION:
            return Rows(everything=True)
        case Depth.BUSINESS_UNIT:
            units = frozenset({holder.unit})
        case Depth.DEEP:
            units = world.below(holder.unit)
        case _:
            units = NO_ROWS
    owned = {(owner, unit) for owner in holder.owners for unit in world.homes.get(owner, NO_ROWS)}
    return Rows(units=units, owned=frozenset(owned))


ABOVE_ME = "You need all rights of an administrator to change one. Ask an administrator to do it."


def refusal_to_touch(actor: Holder, target: Holder, world: World) -> str | None:
    """Return why the actor may not change this user or client at all; None if they may."""
    return ABOVE_ME if target.is_administrator and gap_between(actor, target, world) else None


def refusal_of_change(actor: Holder, before: Snapshot, after: Snapshot) -> str | None:
    """Return why the actor may not change these holders in this way; None if they may.

    Holders missing in ``before`` are new.
    """
    for id_, holder in before.holders.items():
        if after.holders.get(id_) != holder and (refusal := refusal_to_touch(actor, holder, before.world)):
            return refusal
    for id_, holder in after.holders.items():
        gap = _gap_of_gain(actor, before.holders.get(id_), before.world, holder, after.world)
        if gap is not None:
            return str(gap)
    return None


def gap_between(actor: Holder, holder: Holder, world: World) -> Gap | None:
    """Return a right of the holder that the actor lacks; None if the actor reaches everything and may act as the
    holder."""
    return _gap(actor, world, holder, world, None, is_new=False)


def _gap_of_gain(
    actor: Holder, before: Holder | None, world_before: World, after: Holder, world_after: World
) -> Gap | None:
    """Return a right that a change gives a holder and that the actor did not hold before; None if the actor may give
    it.

    A new holder owns nothing yet, so the actor need not reach the rows that they will own in the actor's own unit.
    """
    return _gap(actor, world_before, after, world_after, before, is_new=before is None)


def _gap(
    actor: Holder, actors_world: World, after: Holder, world: World, before: Holder | None, *, is_new: bool
) -> Gap | None:
    rows = {depth: rows_of(after, depth, world) for depth in Depth}
    held = {depth: Rows() if before is None else rows_of(before, depth, actors_world) for depth in Depth}
    own = {depth: rows_of(actor, depth, actors_world) for depth in Depth}
    if is_new:
        empty = Rows(owned=frozenset({(after.id, actor.unit)}))
        rows = {depth: found.without(empty) for depth, found in rows.items()}
    for entity, digits in after.grants.items():
        for privilege, depth in decode(digits).items():
            known = Depth.NONE if before is None else depth_of(before.grants, entity, privilege)
            gained = rows[depth].without(held[known])
            if depth <= known and not gained:
                continue
            most = depth_of(actor.grants, entity, privilege)
            if depth > max(most, known) or gained.without(own[most]):
                return Gap(entity, privilege, depth, too_deep=depth > most)
    return None
