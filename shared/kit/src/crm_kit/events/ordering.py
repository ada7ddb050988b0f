"""Decides which events of one record a handler group may handle now. It is pure, so that tests can try every order of arrival.

The order is that of (epoch, version). After a restore of its database, a publisher uses a higher epoch. Its record then continues
from an older version, and its new events are newer than those of the lost versions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from crm_kit.events.consumers import Group


class Place(NamedTuple):
    """An epoch and a version of a record. Places compare in this order."""

    epoch: int
    version: int


NOTHING = Place(0, 0)
"""The position of a record without a handled event."""


class Placed(Protocol):
    """Anything that has a place, such as an event."""

    @property
    def place(self) -> Place: ...


V = TypeVar("V", bound=Placed)


@dataclass(frozen=True, slots=True)
class Decision(Generic[V]):
    """The candidates of one record, sorted, and the group's position afterwards."""

    run: list[V]
    wait: list[V]
    stale: list[V]
    position: Place


def decide(group: Group, position: Place, candidates: Sequence[V], *, blocked: bool) -> Decision[V]:
    """Sort one record's candidates into run, wait and stale.

    A position of version 0 means that no event of the record was handled. ``blocked`` means that an earlier event has failed and
    is not among the candidates. The events of a step also wait if the first version is missing (see ``Dispatcher.start_late``).
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.place)
    if group.kind == "projection":
        late = [c for c in ordered if _too_late(group, position, c.place)]
        current = [c for c in ordered if not _too_late(group, position, c.place)]
        if blocked:
            return Decision([], current, late, position)
        return Decision(current, [], late, max([position, *(c.place for c in current)]))
    decision: Decision[V] = Decision([], [], [], position)
    reached = position
    for candidate in ordered:
        if candidate.place <= reached:
            decision.stale.append(candidate)
        elif blocked:
            decision.wait.append(candidate)
        elif _follows(candidate.place, reached):
            decision.run.append(candidate)
            reached = candidate.place
        else:
            decision.wait.append(candidate)
    return Decision(decision.run, decision.wait, decision.stale, reached)


def _too_late(group: Group, position: Place, place: Place) -> bool:
    if group.each_event:
        # A row per event is kept for late events, too, but not for those that a restored publisher has lost.
        return place.epoch < position.epoch and place.version > position.version
    return place <= position


def _follows(place: Place, reached: Place) -> bool:
    """Whether no event is missing between the two places. An unknown record may start in any epoch, with version 1."""
    return place.version == reached.version + 1 and (place.epoch == reached.epoch or reached.version == 0)
