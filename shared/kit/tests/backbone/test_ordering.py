"""Every order of arrival, every interruption: a step sees each version once and in order, a projection ends at the last."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from crm_kit.consumers import Group
from crm_kit.ordering import decide


@dataclass(frozen=True)
class Arrival:
    version: int


def arrivals(draw: st.DrawFn, last: int) -> list[Arrival]:
    """Each version at least once, some again, in any order."""
    again = draw(st.lists(st.integers(1, last), max_size=10))
    return [Arrival(version) for version in draw(st.permutations([*range(1, last + 1), *again]))]


@given(st.data())
def test_a_step_sees_every_version_once_and_in_order(data: st.DataObject) -> None:
    step = Group("g", "step")
    last = data.draw(st.integers(1, 12))
    position, waiting, seen = 0, set[Arrival](), list[int]()
    for arrival in data.draw(st.composite(arrivals)(last)):
        candidates = sorted({arrival, *waiting}, key=lambda a: a.version)
        decision = decide(step, position, candidates, blocked=False)
        seen += [a.version for a in decision.run]
        position, waiting = decision.version, set(decision.wait)
    assert seen == list(range(1, last + 1))
    assert position == last
    assert not waiting


@given(st.data())
def test_a_projection_only_moves_forward_and_ends_at_the_last(data: st.DataObject) -> None:
    projection = Group("g", "projection")
    last = data.draw(st.integers(1, 12))
    position, applied = 0, list[int]()
    for arrival in data.draw(st.composite(arrivals)(last)):
        decision = decide(projection, position, [arrival], blocked=False)
        applied += [a.version for a in decision.run]
        position = decision.version
    assert applied == sorted(set(applied))
    assert applied[-1] == position == last


@given(st.sampled_from(["step", "projection"]), st.lists(st.integers(1, 9), min_size=1), st.integers(0, 9))
def test_behind_a_failed_event_nothing_runs_and_nothing_new_is_lost(
    kind: str, versions: list[int], position: int
) -> None:
    group = Group("g", "step" if kind == "step" else "projection")
    candidates = [Arrival(version) for version in versions]
    decision = decide(group, position, candidates, blocked=True)
    assert not decision.run
    assert decision.version == position
    assert {a.version for a in decision.wait} == {v for v in versions if v > position}
