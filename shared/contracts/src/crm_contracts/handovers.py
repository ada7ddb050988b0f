"""The events of handovers, which are the same for every service that owns records."""

from typing import Any, NamedTuple

from .catalogue import Entity, Event
from .envelope import parse_type
from .removals import HandoverRecord


class HandoverEvent(Event):
    """Something happened to a handover of a service."""

    record: HandoverRecord


class Handovers(NamedTuple):
    """The entity of a service's handovers, and its events."""

    entity: Entity
    created: type[HandoverEvent]
    updated: type[HandoverEvent]
    snapshot: type[HandoverEvent]


def handovers_of(created: str, updated: str, snapshot: str) -> Handovers:
    """Declare what a service does for the removal of a user, team or API client, by the types of the events about it."""
    type_ = parse_type(created)
    entity = Entity(
        service=type_.service,
        name=type_.entity,
        collection=type_.entity.replace("_", "-") + "s",
        record=HandoverRecord,
        owned=False,
        announcement=True,
    )
    return Handovers(
        entity,
        _event(
            entity, created, "The service has counted the records of a user, team or API client that is to be deleted."
        ),
        _event(entity, updated, "Records got their new owner, or the handover is completed or canceled."),
        _event(entity, snapshot, "The current state of a handover, sent on request to one queue; nothing happened."),
    )


def _event(entity: Entity, type_: str, meaning: str) -> type[HandoverEvent]:
    words = f"{entity.name}_{parse_type(type_).fact}".split("_")
    make: Any = type(HandoverEvent)
    made: type[HandoverEvent] = make(
        "".join(word.capitalize() for word in words),
        (HandoverEvent,),
        {"__module__": __name__, "__doc__": meaning, "entity": entity, "type": type_},
    )
    return made
