"""The handler groups of a service. Each group has a name, and its own inbox rows, positions and retries.

A *projection* keeps a local copy and is called with many events at once. A *step* is an act that must happen once. It is called
with one event, in a unit of work of its own. A group follows every event of its entities, whether it handles the event or not.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from uuid import UUID

from crm_contracts.catalogue import Entity, Event, event_for
from crm_contracts.envelope import Envelope, EnvelopeError, parse_type, source_of
from crm_kit.work.uow import UnitOfWork

E = TypeVar("E", bound=Event)
Handler = Callable[[Any, UnitOfWork], Awaitable[None]]
RawHandler = Callable[[Sequence[Envelope], UnitOfWork], Awaitable[None]]
Kind = Literal["projection", "step"]


class Unprocessable(Exception):
    """An event cannot be handled in its present form. It is parked at once, without retries."""


def envelope_of(event: Event) -> Envelope:
    """Return the envelope of a received event, with its id, time, actor, version and cause."""
    envelope: Envelope = event.__dict__["_envelope"]
    return envelope


def place_of(event: Event) -> tuple[int, int]:
    """Return the epoch and version of an event; the greater of two is newer. An event without an envelope has epoch 0."""
    envelope: Envelope | None = event.__dict__.get("_envelope")
    version: int = event.__dict__["record"].version
    return (0 if envelope is None else envelope.epoch), version


def require_record(envelope: Envelope) -> None:
    """Raise Unprocessable unless the event has its record, with the id and the version that the envelope names."""
    record = envelope.data.get("record")
    if not isinstance(record, dict):
        raise Unprocessable("data.record is missing")
    if record.get("id") != str(envelope.subject) or record.get("version") != envelope.entityversion:
        raise Unprocessable("data.record is not the subject at entityversion")


def attach(event: Event, envelope: Envelope) -> None:
    """Attach the envelope to the event, for ``envelope_of``."""
    event.__dict__["_envelope"] = envelope


Forget = Callable[[Sequence[UUID], UnitOfWork], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Copies:
    """A table of a projection group with a row per record. It has the columns id, epoch, version and deleted."""

    table: str
    entities: frozenset[Entity]
    kind: str | None
    """The column with the entity's name, if the table holds records of several services."""


@dataclass(frozen=True, slots=True)
class Journal:
    """A table of a projection of each event, with a row per event. It has the columns record_id, id, at, type and version."""

    table: str


@dataclass
class Group:
    """A handler group. It follows the records of ``entities``."""

    name: str
    kind: Kind
    each_event: bool = False
    raw: bool = False
    any_order: bool = False
    """Whether a step handles each event independently. It gets only the events that it handles, and none waits for another."""
    access: bool = False
    """Whether the group keeps access rights. It then has a queue of its own, so that it does not wait for other groups."""
    handlers: dict[str, list[Handler]] = field(default_factory=dict)
    entities: set[Entity] = field(default_factory=set)
    copies: list[Copies] = field(default_factory=list)
    journal: Journal | None = None
    forgets: list[Forget] = field(default_factory=list)
    """Handlers of records that their publisher no longer has, although it sent no event of their deletion."""

    @property
    def keyless(self) -> bool:
        """Whether the group's own rows show which events took effect: copies by epoch and version, rows per event by their keys.

        Such a projection has inbox rows only for events that fail, and keeps no positions. A group that keeps access rights
        is never keyless, because its events arrive by two queues and a part of its tables are not copies of records.
        """
        if self.kind != "projection" or self.access:
            return False
        if self.each_event:
            return self.journal is not None
        return bool(self.copies) and self.entities <= frozenset().union(*(copies.entities for copies in self.copies))

    @property
    def keeps_order(self) -> bool:
        """Whether an event of a record waits for the earlier ones. The group then keeps positions."""
        return not (self.any_order or self.keyless)

    def hears(self, type_: str) -> bool:
        """Whether this group gets events of this type, if it follows their entity."""
        return not self.any_order or type_ in self.handlers or self.unknown_major(type_)

    def followed(self, service: str) -> list[Entity]:
        """Return the entities of a service that the group follows, sorted by name."""
        return sorted((e for e in self.entities if e.service == service), key=lambda e: e.name)

    def handlers_of(self, type_: str) -> Sequence[Handler]:
        """Return the handlers of this type. A projection of records handles a snapshot like an update."""
        found = self.handlers.get(type_)
        if found is None and ".snapshot.v" in type_ and self.kind == "projection" and not self.each_event:
            found = self.handlers.get(type_.replace(".snapshot.v", ".updated.v"))
        return found or ()

    def snapshot_entities(self, service: str) -> list[Entity]:
        """Return the entities of a service whose snapshots this group handles."""
        found = [e for e in self.entities if e.service == service]
        return [e for e in found if self.handlers_of(f"crm.{service}.{e.name}.snapshot.v1")]

    def unknown_major(self, type_: str) -> bool:
        """Whether the group handles this fact, but not this major version, which is not declared."""
        if type_ in self.handlers or event_for(type_) is not None:
            return False
        fact = type_.rpartition(".v")[0] + ".v"
        return any(handled.startswith(fact) for handled in self.handlers)


class Consumers:
    """The handler groups of one service; ``service`` is its short name (``activities``)."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.groups: dict[str, Group] = {}
        self._by_entity: dict[tuple[str, str], tuple[Group, ...]] = {}

    @property
    def queue(self) -> str:
        """The name of the queue that all groups share."""
        return f"crm.{self.service}.inbox"

    @property
    def access_queue(self) -> str:
        """The name of the queue of the groups that keep access rights."""
        return f"crm.{self.service}.access"

    @property
    def parking(self) -> str:
        """The name of the queue to which the broker moves a message that was delivered too often."""
        return f"crm.{self.service}.parking"

    def projection(
        self, *events: type[Event], group: str, each_event: bool = False
    ) -> Callable[
        [Callable[[Sequence[E], UnitOfWork], Awaitable[None]]], Callable[[Sequence[E], UnitOfWork], Awaitable[None]]
    ]:
        """Register a handler of many events at once, in version order per record.

        It may get an event again, or an event that is older than its row. Its rows show which events they contain
        (``project``). With ``each_event`` it keeps a row per event instead of a row per record.
        """

        def register(
            handler: Callable[[Sequence[E], UnitOfWork], Awaitable[None]],
        ) -> Callable[[Sequence[E], UnitOfWork], Awaitable[None]]:
            self._add(events, group, "projection", handler, each_event)
            return handler

        return register

    def raw_projection(
        self, *events: type[Event], group: str, each_event: bool = False
    ) -> Callable[[RawHandler], RawHandler]:
        """Register a projection whose handler gets envelopes. Use it for copies of a few fields of many entities.

        The data is not validated against the contract, because validation costs more than the rest of the work. Only
        ``record`` is certain to be present.
        """

        def register(handler: RawHandler) -> RawHandler:
            self._add(events, group, "projection", handler, each_event, raw=True)
            return handler

        return register

    def step(
        self, *events: type[Event], group: str, any_order: bool = False
    ) -> Callable[[Callable[[E, UnitOfWork], Awaitable[None]]], Callable[[E, UnitOfWork], Awaitable[None]]]:
        """Register a handler that is called exactly once per event, strictly in version order per record.

        With ``any_order`` it is called in the order of arrival. Use that for acts that do not depend on other events of the
        record. Such a group costs nothing for the other events of the entities. The service also needs a projection of the same
        entities, because ``Crm-After`` uses it to find out whether the event has arrived.
        """

        def register(handler: Callable[[E, UnitOfWork], Awaitable[None]]) -> Callable[[E, UnitOfWork], Awaitable[None]]:
            self._add(events, group, "step", handler, each_event=False, any_order=any_order)
            return handler

        return register

    def keeps(self, group: str, table: str, *entities: Entity, kind: str | None = None) -> None:
        """Declare the table in which a group keeps its copies of these entities, so that they can be compared and rebuilt."""
        self.groups[group].copies.append(Copies(table, frozenset(entities), kind))

    def keeps_events(self, group: str, table: str) -> None:
        """Declare the table in which a group keeps a row per event."""
        self.groups[group].journal = Journal(table)

    def forgets(self, group: str) -> Callable[[Forget], Forget]:
        """Register a handler of records that their publisher no longer has. It runs in addition to marking copies as deleted."""

        def register(handler: Forget) -> Forget:
            self.groups[group].forgets.append(handler)
            return handler

        return register

    def _add(
        self,
        events: Iterable[type[Event]],
        name: str,
        kind: Kind,
        handler: Handler,
        each_event: bool,
        raw: bool = False,
        any_order: bool = False,
    ) -> None:
        group = self.groups.setdefault(name, Group(name, kind, each_event, raw, any_order))
        if (group.kind, group.each_event, group.raw, group.any_order) != (kind, each_event, raw, any_order):
            raise ValueError(f"group {name} is a {group.kind}; a group is of one kind")
        for event in events:
            group.handlers.setdefault(event.type, []).append(handler)
            group.entities.add(event.entity)
        followed = {(entity.service, entity.name) for g in self.groups.values() for entity in g.entities}
        self._by_entity = {key: self.following(*key) for key in followed}

    def following(self, service: str, entity: str) -> tuple[Group, ...]:
        """Return the groups that follow an entity."""
        return tuple(
            group
            for group in self.groups.values()
            if any((e.service, e.name) == (service, entity) for e in group.entities)
        )

    def interested(self, type_: str) -> tuple[Group, ...]:
        """Return the groups that get events of this type; none for a type that is not an event type of this system."""
        try:
            name = parse_type(type_)
        except EnvelopeError:
            return ()
        groups = self._by_entity.get((name.service, name.entity), ())
        if name.fact == "snapshot":
            return tuple(group for group in groups if group.kind == "projection" and group.handlers_of(type_))
        if any(group.any_order for group in groups):
            return tuple(group for group in groups if group.hears(type_))
        return groups

    def routing_keys(self) -> tuple[str, ...]:
        """Return the binding keys of the queue: all events of each followed entity."""
        return tuple(sorted(f"crm.{service}.{entity}.#" for service, entity in self._by_entity))

    def sources(self) -> tuple[tuple[Group, str], ...]:
        """Return each group with each source that it follows."""
        return tuple(
            (group, source_of(s)) for group in self.groups.values() for s in sorted({e.service for e in group.entities})
        )
