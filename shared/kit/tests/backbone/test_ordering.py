"""Every order of arrival, every interruption: a step sees each version once and in order, a projection ends at the last."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kit.events.consumers import Group
from crm_kit.events.ordering import NOTHING, Place, decide


@dataclass(frozen=True)
class Arrival:
    version: int
    epoch: int = 0

    @property
    def place(self) -> Place:
        return Place(self.epoch, self.version)


def arrivals(draw: st.DrawFn, last: int) -> list[Arrival]:
    """Each version at least once, some again, in any order."""
    again = draw(st.lists(st.integers(1, last), max_size=10))
    return [Arrival(version) for version in draw(st.permutations([*range(1, last + 1), *again]))]


@given(st.data())
def test_a_step_sees_every_version_once_and_in_order(data: st.DataObject) -> None:
    step = Group("g", "step")
    last = data.draw(st.integers(1, 12))
    position, waiting, seen = NOTHING, set[Arrival](), list[int]()
    for arrival in data.draw(st.composite(arrivals)(last)):
        candidates = sorted({arrival, *waiting}, key=lambda a: a.version)
        decision = decide(step, position, candidates, blocked=False)
        seen += [a.version for a in decision.run]
        position, waiting = decision.position, set(decision.wait)
    assert seen == list(range(1, last + 1))
    assert position == Place(0, last)
    assert not waiting


@given(st.data())
def test_a_projection_only_moves_forward_and_ends_at_the_last(data: st.DataObject) -> None:
    projection = Group("g", "projection")
    last = data.draw(st.integers(1, 12))
    position, applied = NOTHING, list[int]()
    for arrival in data.draw(st.composite(arrivals)(last)):
        decision = decide(projection, position, [arrival], blocked=False)
        applied += [a.version for a in decision.run]
        position = decision.position
    assert applied == sorted(set(applied))
    assert applied[-1] == position.version == last


@given(st.sampled_from(["step", "projection"]), st.lists(st.integers(1, 9), min_size=1), st.integers(0, 9))
def test_behind_a_failed_event_nothing_runs_and_nothing_new_is_lost(
    kind: str, versions: list[int], position: int
) -> None:
    group = Group("g", "step" if kind == "step" else "projection")
    candidates = [Arrival(version) for version in versions]
    decision = decide(group, Place(0, position), candidates, blocked=True)
    assert not decision.run
    assert decision.position == Place(0, position)
    assert {a.version for a in decision.wait} == {v for v in versions if v > position}


def places(arrivals: list[Arrival]) -> list[Place]:
    return [arrival.place for arrival in arrivals]


@given(st.integers(1, 9), st.integers(0, 8), st.data())
def test_what_a_restored_publisher_says_replaces_what_it_said_of_a_lost_future(
    ahead: int, restored: int, data: st.DataObject
) -> None:
    """The position is at version ``ahead`` of the lost future; the record goes on from ``restored``, in any order."""
    projection = Group("g", "projection")
    told = [Arrival(version, epoch=1) for version in range(restored + 1, restored + 4)]
    lost = [Arrival(version) for version in range(1, ahead + 3)]
    position, last = Place(0, ahead), NOTHING
    for arrival in data.draw(st.permutations([*told, *lost])):
        decision = decide(projection, position, [arrival], blocked=False)
        last, position = max([last, *places(decision.run)]), decision.position
    assert last == position == told[-1].place


@given(st.integers(0, 8), st.data())
def test_a_step_of_a_restored_publishers_record_goes_on_from_where_it_was_restored(
    restored: int, data: st.DataObject
) -> None:
    step = Group("g", "step")
    told = [Arrival(version, epoch=5) for version in range(restored + 1, restored + 5)]
    position, waiting, seen = Place(5, restored), set[Arrival](), list[Place]()
    for arrival in data.draw(st.permutations([*told, *(Arrival(version) for version in range(1, 12))])):
        decision = decide(step, position, sorted({arrival, *waiting}, key=lambda a: a.place), blocked=False)
        seen += places(decision.run)
        position, waiting = decision.position, set(decision.wait)
    assert seen == places(told)
    assert not waiting


def test_a_step_never_guesses_with_which_version_an_epoch_begins() -> None:
    decision = decide(Group("g", "step"), Place(0, 3), [Arrival(4, epoch=1)], blocked=False)
    assert (decision.run, places(decision.wait), decision.position) == ([], [Place(1, 4)], Place(0, 3))


@pytest.mark.parametrize(
    ("position", "place", "taken"),
    [
        (Place(1, 3), Place(0, 2), True),
        (Place(1, 3), Place(0, 4), False),
        (Place(1, 0), Place(0, 1), False),
        (Place(1, 3), Place(1, 2), True),
    ],
)
def test_a_row_per_event_is_kept_of_late_events_but_not_of_lost_ones(
    position: Place, place: Place, taken: bool
) -> None:
    group = Group("g", "projection", each_event=True)
    decision = decide(group, position, [Arrival(place.version, place.epoch)], blocked=False)
    assert bool(decision.run) is taken
