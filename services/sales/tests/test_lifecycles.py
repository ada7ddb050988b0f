"""The state machines follow their tables: every action from every state."""

from contextlib import nullcontext
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kit.errors import DomainError, IllegalTransition
from crm_kit.lifecycle import Lifecycle
from crm_kit.store.record import Stateful
from crm_sales.app import SERVICE
from crm_sales.lead.domain import LIFECYCLE as LEAD

LIFECYCLES: dict[str, Lifecycle] = {
    entity.entity(): entity.lifecycle for entity in SERVICE.entities if issubclass(entity, Stateful)
}
MATRIX = [
    (entity, action, state)
    for entity, lifecycle in LIFECYCLES.items()
    for action, state in product(lifecycle.moves, lifecycle.states)
]


@pytest.mark.parametrize(("entity", "action", "state"), MATRIX)
def test_a_lifecycle_follows_its_table(entity: str, action: str, state: str) -> None:
    lifecycle = LIFECYCLES[entity]
    allowed = lifecycle.actions(state)
    if action in allowed:
        assert "/".join(lifecycle.after(action, state)) in lifecycle.states
        return
    with pytest.raises(IllegalTransition) as refused:
        lifecycle.after(action, state)
    assert refused.value.members["allowed"] == allowed


@pytest.mark.parametrize("lifecycle", LIFECYCLES.values(), ids=LIFECYCLES)
def test_every_state_can_be_reached(lifecycle: Lifecycle) -> None:
    reached, waiting = {lifecycle.initial}, [lifecycle.initial]
    while waiting:
        state = waiting.pop()
        for action in [*lifecycle.actions(state), *lifecycle.follows(state)]:
            for reason in lifecycle.reasons(action):
                after = "/".join(lifecycle.after(action, state, reason))
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
    assert reached == set(lifecycle.states)


@given(st.text())
def test_a_strange_reason_is_refused(reason: str) -> None:
    known = {"lost", "cannot_contact", "no_longer_interested", "canceled"}
    with nullcontext() if reason in known else pytest.raises(DomainError):
        assert LEAD.after("disqualify", "open/new", reason) == ("disqualified", reason)
