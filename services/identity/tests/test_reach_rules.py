"""No sequence of permitted changes lets a caller, or principals they control, reach a row that the caller did not
reach.

The rows exist from the start. Reach is decided by the same code that guards rows in every service.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_contracts.access import Depth, Grants, Privilege, encode, union
from crm_identity.reach.domain import (
    Holder,
    Snapshot,
    World,
    gap_between,
    refusal_of_change,
    rows_of,
)
from crm_kit.access.privileges import Principal, UnitTree

PRIVILEGES = (Privilege.READ, Privilege.DELETE)
UNITS = [UUID(int=n) for n in range(1, 6)]
TEAMS = [UUID(int=n) for n in range(11, 13)]
USERS = [UUID(int=n) for n in range(21, 25)]
ROLES = [UUID(int=n) for n in range(31, 35)]

Row = tuple[UUID, UUID]

depths = st.sampled_from(list(Depth))
role_grants = st.fixed_dictionaries(dict.fromkeys(PRIVILEGES, depths)).map(lambda held: {"lead": encode(held)})


@dataclass
class User:
    unit: UUID
    teams: frozenset[UUID]
    roles: frozenset[UUID]


@dataclass
class State:
    """The relevant state of identity, as in its tables."""

    parents: dict[UUID, UUID | None]
    team_units: dict[UUID, UUID]
    team_roles: dict[UUID, frozenset[UUID]]
    users: dict[UUID, User]
    roles: dict[UUID, Grants]
    former: set[Row] = field(default_factory=set)

    def copy(self) -> "State":
        users = {id_: User(user.unit, user.teams, user.roles) for id_, user in self.users.items()}
        return State(
            dict(self.parents), dict(self.team_units), dict(self.team_roles), users, dict(self.roles), set(self.former)
        )

    def holder(self, user_id: UUID) -> Holder:
        user = self.users[user_id]
        roles = user.roles.union(*(self.team_roles[team] for team in user.teams))
        return Holder(id=user_id, unit=user.unit, teams=user.teams, grants=union(self.roles[role] for role in roles))

    def snapshot(self) -> Snapshot:
        homes: dict[UUID, set[UUID]] = {}
        for owner, unit in [*self.owners(), *self.former]:
            homes.setdefault(owner, set()).add(unit)
        world = World(UnitTree(self.parents).below, {owner: frozenset(units) for owner, units in homes.items()})
        return Snapshot({user: self.holder(user) for user in self.users}, world)

    def owners(self) -> list[Row]:
        return [*((id_, user.unit) for id_, user in self.users.items()), *self.team_units.items()]

    def is_tree(self) -> bool:
        for unit in self.parents:
            seen, at = set(), unit
            while (parent := self.parents[at]) is not None:
                if at in seen:
                    return False
                seen.add(at)
                at = parent
        return True


@st.composite
def states(draw: st.DrawFn) -> State:
    parents: dict[UUID, UUID | None] = {UNITS[0]: None}
    for position, unit in enumerate(UNITS[1:], 1):
        parents[unit] = draw(st.sampled_from(UNITS[:position]))
    units, some_roles = st.sampled_from(UNITS), st.frozensets(st.sampled_from(ROLES), max_size=2)
    return State(
        parents,
        {team: draw(units) for team in TEAMS},
        {team: draw(some_roles) for team in TEAMS},
        {
            user: User(draw(units), draw(st.frozensets(st.sampled_from(TEAMS), max_size=1)), draw(some_roles))
            for user in USERS
        },
        {role: draw(role_grants) for role in ROLES},
        set(draw(st.lists(st.tuples(st.sampled_from([*USERS, *TEAMS]), units), max_size=3))),
    )


def reached(state: State, user_id: UUID, rows: list[Row]) -> Iterator[tuple[Row, Privilege]]:
    """Return the rows that the services' code lets a user reach."""
    holder, tree = state.holder(user_id), UnitTree(state.parents)
    caller = Principal(user_id, "user", holder.unit, tuple(holder.teams), holder.grants)
    for row in rows:
        for privilege in PRIVILEGES:
            if caller.reach("lead", privilege, tree).covers(*row):
                yield row, privilege


ACTS = ("create", "move", "give", "join", "edit", "move team", "edit team", "move unit")


def act(data: st.DataObject, state: State, number: int) -> State:
    """Return the state after a change of identity's records, whether or not it is permitted."""
    after, draw, units = state.copy(), data.draw, st.sampled_from(UNITS)
    users, teams = st.sampled_from(sorted(state.users)), st.sampled_from(TEAMS)
    some_roles, some_teams = st.frozensets(st.sampled_from(ROLES), max_size=2), st.frozensets(teams, max_size=2)
    match draw(st.sampled_from(ACTS)):
        case "create":
            after.users[UUID(int=100 + number)] = User(draw(units), draw(some_teams), draw(some_roles))
        case "move":
            moved = draw(users)
            after.former.add((moved, after.users[moved].unit))
            after.users[moved].unit = draw(units)
        case "give":
            after.users[draw(users)].roles = draw(some_roles)
        case "join":
            after.users[draw(users)].teams = draw(some_teams)
        case "edit":
            after.roles[draw(st.sampled_from(ROLES))] = draw(role_grants)
        case "move team":
            team = draw(teams)
            after.former.add((team, after.team_units[team]))
            after.team_units[team] = draw(units)
        case "edit team":
            after.team_roles[draw(teams)] = draw(some_roles)
        case "move unit":
            after.parents[draw(st.sampled_from(UNITS[1:]))] = draw(units)
    return after if after.is_tree() else state


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), states())
def test_no_sequence_of_permitted_acts_reaches_more(data: st.DataObject, state: State) -> None:
    rows = sorted({*state.owners(), *state.former})
    attacker = USERS[0]
    held = set(reached(state, attacker, rows))
    controlled = {attacker}
    for number in range(data.draw(st.integers(1, 12))):
        actor = state.holder(data.draw(st.sampled_from(sorted(controlled))))
        if data.draw(st.integers(0, 3)) == 0:
            victim = data.draw(st.sampled_from(sorted(state.users)))
            if gap_between(actor, state.holder(victim), state.snapshot().world) is None:
                controlled.add(victim)
        else:
            after = act(data, state, number)
            if refusal_of_change(actor, state.snapshot(), after.snapshot()) is not None:
                continue
            controlled |= after.users.keys() - state.users.keys()  # With a password that its creator chose.
            state = after
        for user in controlled:
            assert set(reached(state, user, rows)) <= held


@settings(max_examples=60, deadline=None)
@given(states(), depths)
def test_a_set_of_rows_is_what_the_services_let_through(state: State, depth: Depth) -> None:
    """The comparison and the guard are separate code, and must agree on every row."""
    snapshot = state.snapshot()
    for user_id, holder in snapshot.holders.items():
        found = rows_of(holder, depth, snapshot.world)
        caller = Principal(user_id, "user", holder.unit, tuple(holder.teams), {"lead": encode({Privilege.READ: depth})})
        tree = UnitTree(state.parents)
        for owner, unit in {*state.owners(), *state.former}:
            among = found.everything or unit in found.units or (owner, unit) in found.owned
            assert among == caller.reach("lead", Privilege.READ, tree).covers(owner, unit)
