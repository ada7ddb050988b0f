"""What a service listens to: named groups of handlers, each with its own rows, positions and retries.

A *projection* keeps a local copy and is called with many events at once; a *step* is an act that must happen once and
is called with one event in its own unit of work. A group follows every event of each entity it names, handled or not.
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
    """This event can never be handled as it is: it is parked at once, without retries."""


def envelope_of(event: Event) -> Envelope:
    """The envelope an event arrived in: id, time, actor, version and what caused it."""
    envelope: Envelope = event.__dict__["_envelope"]
    return envelope


def place_of(event: Event) -> tuple[int, int]:
    """Where an event stands in its record's story: the later of two is the newer. Without an envelope in the first epoch."""
    envelope: Envelope | None = event.__dict__.get("_envelope")
    version: int = event.__dict__["record"].version
    return (0 if envelope is None else envelope.epoch), version


def require_record(envelope: Envelope) -> None:
    """The least that any event of ours is: the record it is about, at the version it made."""
    record = envelope.data.get("record")
    if not isinstance(record, dict):
        raise Unprocessable("data.record is missing")
    if record.get("id") != str(envelope.subject) or record.get("version") != envelope.entityversion:
        raise Unprocessable("data.record is not the subject at entityversion")


def attach(event: Event, envelope: Envelope) -> None:
    """Remember the envelope on the event, for ``envelope_of``."""
    event.__dict__["_envelope"] = envelope


Forget = Callable[[Sequence[UUID], UnitOfWork], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Copies:
    """A table with a row per record, of the columns id, epoch, version and deleted: what a projection group keeps."""

    table: str
    entities: frozenset[Entity]
    kind: str | None
    """The column that tells the entities apart, where the table holds several services'."""


@dataclass(frozen=True, slots=True)
class Journal:
    """A table with a row per event, of the columns record_id, id, at, type and version: what a projection of each event keeps."""

    table: str


@dataclass
class Group:
    """One handler group; ``entities`` are the records it follows."""

    name: str
    kind: Kind
    each_event: bool = False
    raw: bool = False
    any_order: bool = False
    """A step that acts on each event for itself: it hears of no others, and none waits for another."""
    access: bool = False
    """It keeps who may do what, and has a queue of its own, so that it waits for no other group."""
    handlers: dict[str, list[Handler]] = field(default_factory=dict)
    entities: set[Entity] = field(default_factory=set)
    copies: list[Copies] = field(default_factory=list)
    journal: Journal | None = None
    forgets: list[Forget] = field(default_factory=list)
    """What else is to be done about records that their publisher does not have any more and said no word about."""

    @property
    def keyless(self) -> bool:
        """Whether its own rows say which events took effect: a copy by its epoch and version, a row per event by its key.

        Such a projection has no row in the inbox but for what fails, and keeps no position. Who may do what comes by two
        queues and is no copy of a record for a part, so it does not count here.
        """
        if self.kind != "projection" or self.access:
            return False
        if self.each_event:
            return self.journal is not None
        return bool(self.copies) and self.entities <= frozenset().union(*(copies.entities for copies in self.copies))

    @property
    def keeps_order(self) -> bool:
        """Whether an event of a record waits for those before it, for which a position is kept."""
        return not (self.any_order or self.keyless)

    def hears(self, type_: str) -> bool:
        """Whether this group is to be told of an event of an entity that it follows."""
        return not self.any_order or type_ in self.handlers or self.unknown_major(type_)

    def followed(self, service: str) -> list[Entity]:
        """The entities of a service that it follows, by name."""
        return sorted((e for e in self.entities if e.service == service), key=lambda e: e.name)

    def handlers_of(self, type_: str) -> Sequence[Handler]:
        """Who handles this type. To a projection of records, a snapshot is an update."""
        found = self.handlers.get(type_)
        if found is None and ".snapshot.v" in type_ and self.kind == "projection" and not self.each_event:
            found = self.handlers.get(type_.replace(".snapshot.v", ".updated.v"))
        return found or ()

    def snapshot_entities(self, service: str) -> list[Entity]:
        """The entities of a service whose snapshots this group makes use of."""
        found = [e for e in self.entities if e.service == service]
        return [e for e in found if self.handlers_of(f"crm.{service}.{e.name}.snapshot.v1")]

    def unknown_major(self, type_: str) -> bool:
        """Whether this is a fact the group handles, in a major version nobody here has heard of."""
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
        """The queue all groups share."""
        return f"crm.{self.service}.inbox"

    @property
    def access_queue(self) -> str:
        """The queue of the groups that keep who may do what."""
        return f"crm.{self.service}.access"

    @property
    def parking(self) -> str:
        """Where the broker puts a message that was delivered too often."""
        return f"crm.{self.service}.parking"

    def projection(
        self, *events: type[Event], group: str, each_event: bool = False
    ) -> Callable[
        [Callable[[Sequence[E], UnitOfWork], Awaitable[None]]], Callable[[Sequence[E], UnitOfWork], Awaitable[None]]
    ]:
        """Register a handler of many events at once, in version order per record.

        It may be given an event again, or one older than what it knows: its rows say how far they are (``project``).
        With ``each_event`` it keeps a row per event instead of per record.
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
        """Like ``projection``, for copies of a few fields of everything: the handler is given envelopes whose data is
        not read through the contract, which costs more than all the rest. Only ``record`` is sure to be there."""

        def register(handler: RawHandler) -> RawHandler:
            self._add(events, group, "projection", handler, each_event, raw=True)
            return handler

        return register

    def step(
        self, *events: type[Event], group: str, any_order: bool = False
    ) -> Callable[[Callable[[E, UnitOfWork], Awaitable[None]]], Callable[[E, UnitOfWork], Awaitable[None]]]:
        """Register a handler called exactly once per event, strictly in version order per record.

        With ``any_order`` in whatever order they come: for acts on which no earlier or later event of the record has a bearing.
        Such a group costs nothing for the other events of the entities. It needs a projection of the same entities beside it,
        by which ``Crm-After`` knows that the event has come.
        """

        def register(handler: Callable[[E, UnitOfWork], Awaitable[None]]) -> Callable[[E, UnitOfWork], Awaitable[None]]:
            self._add(events, group, "step", handler, each_event=False, any_order=any_order)
            return handler

        return register

    def keeps(self, group: str, table: str, *entities: Entity, kind: str | None = None) -> None:
        """Say where a group keeps its copies of these entities, so that they can be compared and rebuilt."""
        self.groups[group].copies.append(Copies(table, frozenset(entities), kind))

    def keeps_events(self, group: str, table: str) -> None:
        """Say where a group keeps its row per event."""
        self.groups[group].journal = Journal(table)

    def forgets(self, group: str) -> Callable[[Forget], Forget]:
        """Register what a group has to do about records that are gone, beyond marking its copies as deleted."""

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
        """The groups that follow an entity."""
        return tuple(
            group
            for group in self.groups.values()
            if any((e.service, e.name) == (service, entity) for e in group.entities)
        )

    def interested(self, type_: str) -> tuple[Group, ...]:
        """The groups that follow the entity of this event type; none for a type that is not ours."""
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
        """What the queue is bound to: everything of each entity followed."""
        return tuple(sorted(f"crm.{service}.{entity}.#" for service, entity in self._by_entity))

    def sources(self) -> tuple[tuple[Group, str], ...]:
        """Each group with each source it follows."""
        return tuple(
            (group, source_of(s)) for group in self.groups.values() for s in sorted({e.service for e in group.entities})
        )
