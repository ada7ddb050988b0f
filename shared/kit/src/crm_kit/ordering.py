"""Which events of one record a handler group may take now. Pure, so that every order of arrival can be tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from crm_kit.consumers import Group


class Versioned(Protocol):
    """Anything with the record's version it belongs to."""

    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=Versioned)


@dataclass(frozen=True, slots=True)
class Decision(Generic[V]):
    """What becomes of one record's candidates; ``version`` is the group's position afterwards."""

    run: list[V]
    wait: list[V]
    stale: list[V]
    version: int


def decide(group: Group, position: int, candidates: Sequence[V], *, blocked: bool) -> Decision[V]:
    """Sort one record's candidates into run, wait and stale.

    ``position`` 0 means nothing was seen of this record. ``blocked``: an earlier event has failed and is not among the
    candidates. A step whose record we know only from later on waits, too: see ``Dispatcher.start_late``.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.version)
    if group.kind == "projection":
        late = [] if group.each_event else [c for c in ordered if c.version <= position]
        current = [c for c in ordered if c.version > position or group.each_event]
        if blocked:
            return Decision([], current, late, position)
        return Decision(current, [], late, max([position, *(c.version for c in current)]))
    decision: Decision[V] = Decision([], [], [], position)
    reached = position
    for candidate in ordered:
        if candidate.version <= reached:
            decision.stale.append(candidate)
        elif blocked:
            decision.wait.append(candidate)
        elif candidate.version == reached + 1:
            decision.run.append(candidate)
            reached = candidate.version
        else:
            decision.wait.append(candidate)
    return Decision(decision.run, decision.wait, decision.stale, reached)
