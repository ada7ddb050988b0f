"""Which events of one record a handler group may take now. Pure, so that every order of arrival can be tried.

Order is that of (epoch, version). A publisher whose database was restored says so by a higher epoch: its record goes on from
an older version, and what it says then is newer than what it had said of versions that are lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from crm_kit.events.consumers import Group


class Place(NamedTuple):
    """Where in a record's story something stands; compares as such."""

    epoch: int
    version: int


NOTHING = Place(0, 0)
"""The position of a record of which nothing was seen."""


class Placed(Protocol):
    """Anything with the place in its record's story that it belongs to."""

    @property
    def place(self) -> Place: ...


V = TypeVar("V", bound=Placed)


@dataclass(frozen=True, slots=True)
class Decision(Generic[V]):
    """What becomes of one record's candidates; ``position`` is the group's afterwards."""

    run: list[V]
    wait: list[V]
    stale: list[V]
    position: Place


def decide(group: Group, position: Place, candidates: Sequence[V], *, blocked: bool) -> Decision[V]:
    """Sort one record's candidates into run, wait and stale.

    A position of version 0 means that nothing was seen of this record. ``blocked``: an earlier event has failed and is not
    among the candidates. A step whose record we know only from later on waits, too: see ``Dispatcher.start_late``.
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
        # A row per event takes late ones, too, but none of a story that its publisher no longer tells.
        return place.epoch < position.epoch and place.version > position.version
    return place <= position


def _follows(place: Place, reached: Place) -> bool:
    """Whether nothing is missing between the two. Which version an epoch begins with for a record nobody knows here."""
    return place.version == reached.version + 1 and (place.epoch == reached.epoch or reached.version == 0)
