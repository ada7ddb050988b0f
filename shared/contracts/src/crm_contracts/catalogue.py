"""The catalogue of events: what every event has, and which events there are.

An event is declared once, by its publisher, in the module named after the service. The type string is written out:
it is for ever, a class name is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from .envelope import parse_type
from .records import RecordModel
from .types import CONSUMING, Shape

PUBLISHERS: Final = ("activities", "identity", "marketing", "sales", "service")
"""Services with events: each a module of this package, or a package with a module for each entity."""

_CONSUMER: Final = {CONSUMING: True}


class ValueChange(Shape):
    """The old and the new value of a field."""

    old: JsonValue = Field(description="Value before; null when there was none.")
    new: JsonValue = Field(description="Value after; null when there is none.")


class ContentChange(Shape):
    """A long text or a part changed; its values are in the record's history."""

    changed: Literal[True] = Field(description="Always true.")


Change = ValueChange | ContentChange


Raw = Mapping[str, Any]
"""A record as its event carries it."""
Naming = str | Callable[[Raw], str | None]
"""The field that holds a record's name, or what makes the name of its fields."""


def called(name: str) -> Callable[[Raw], str | None]:
    """The naming of records that are all called the same."""
    return lambda _: name


@dataclass(frozen=True, slots=True)
class Entity:
    """The one declaration of a record type. What lists entities follows from it: paths, references, titles, privileges."""

    service: str
    """Who owns its records and publishes their events."""
    name: str
    """Singular, as in events, references and privileges."""
    collection: str
    """Where its records are found below `/api/v1/`."""
    record: type[RecordModel]
    owned: bool
    """Whether its records have an owner, and events their `ownerid`."""
    named: Naming = "name"
    """What a record is called where others refer to it."""
    label: str | None = None
    """How people call it, where that is not its name."""
    kinds: Mapping[str, str] = field(default_factory=dict, hash=False)
    """How people call records by their field `kind`, where that differs from the label."""
    announcement: bool = False
    """True for a record in form only: no path shows it and nothing refers to it."""

    @property
    def path(self) -> str:
        """Where the gateway lists its records: a path from the root, without the host."""
        return f"/api/v1/{self.collection}"

    def path_of(self, record_id: UUID) -> str:
        """Where the gateway shows one of its records."""
        return f"{self.path}/{record_id}"

    def name_of(self, record: Raw) -> str | None:
        """The name of a record, given as an event carries it."""
        return record.get(self.named) if isinstance(self.named, str) else self.named(record)

    def label_of(self, kind: str | None = None) -> str:
        """How people call a record, or one of this kind: `Deal`, `Credit note`."""
        return self.kinds.get(kind or "") or self.label or self.name.replace("_", " ").capitalize()


class Event(BaseModel):
    """Something that happened to one record. `record` is the whole record after it (before it, for a delete)."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    type: ClassVar[str]
    entity: ClassVar[Entity]
    phrase: ClassVar[str | None] = None
    """How people say what happened, where it is not the fact's own word: `put on hold`."""
    timeline: ClassVar[tuple[str, ...]] = ()
    """Facts that a timeline keeps and shows. Free text and names of people are never among them."""
    headline: ClassVar[str | None] = None
    """The one of them that belongs into the title: an amount or a word."""

    record: RecordModel
    changed: dict[str, Change] = Field(
        default_factory=dict,
        description='Changed fields by name: old and new value, or `{"changed": true}` for texts over 1 KB and parts. '
        "Empty for created, deleted and snapshot.",
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "type" not in cls.__dict__:
            return
        name = parse_type(cls.type)
        if (name.service, name.entity) != (cls.entity.service, cls.entity.name):
            raise TypeError(f"{cls.type} does not belong to {cls.entity.service}.{cls.entity.name}")
        if _EVENTS.setdefault(cls.type, cls) is not cls:
            raise TypeError(f"{cls.type} is declared twice")
        if _ENTITIES.setdefault(cls.entity.name, cls.entity) is not cls.entity:
            raise TypeError(f"two entities are called {cls.entity.name}")

    @classmethod
    def consume(cls, data: Any) -> Self:
        """Read the `data` of a received event: unknown fields are ignored, unknown enum values stay plain text.

        Raises pydantic.ValidationError when the data breaks the contract.
        """
        return cls.model_validate(data, extra="ignore", context=_CONSUMER)

    @classmethod
    def summary(cls) -> str:
        """One sentence on what happened, from the docstring."""
        return " ".join((cls.__doc__ or "").split())


_EVENTS: Final[dict[str, type[Event]]] = {}
_ENTITIES: Final[dict[str, Entity]] = {}


@cache
def all_events() -> tuple[type[Event], ...]:
    """Every event of every service, by type."""
    for publisher in PUBLISHERS:
        package = import_module(f"{__package__}.{publisher}")
        for module in iter_modules(getattr(package, "__path__", ())):
            import_module(f"{package.__name__}.{module.name}")
    return tuple(_EVENTS[type_] for type_ in sorted(_EVENTS))


def event_for(type_: str) -> type[Event] | None:
    """The event of this type, or None: a consumer acknowledges and counts what it does not know."""
    all_events()
    return _EVENTS.get(type_)


def change_of(service: str, entity: str) -> type[Event]:
    """The event with which a service tells that fields of such a record changed; its latest version."""
    if service in PUBLISHERS:
        import_module(f"{__package__}.{service}")
    stem = f"crm.{service}.{entity}.updated.v"
    return max(
        (event for type_, event in _EVENTS.items() if type_.startswith(stem)),
        key=lambda event: parse_type(event.type).major,
    )


def events_of(service: str) -> tuple[type[Event], ...]:
    """Every event that a service publishes, by type."""
    return tuple(event for event in all_events() if event.entity.service == service)


def events_about(entity: Entity) -> tuple[type[Event], ...]:
    """Every event about records of this entity, by type."""
    return tuple(event for event in all_events() if event.entity is entity)


def happenings(entity: Entity) -> tuple[type[Event], ...]:
    """Every event about an entity but its snapshot, which reaches copies through their handlers of ``.updated``."""
    return tuple(event for event in events_about(entity) if ".snapshot.v" not in event.type)


@cache
def all_entities() -> tuple[Entity, ...]:
    """Every entity that publishes events, by service and name."""
    return tuple(sorted({event.entity for event in all_events()}, key=lambda entity: (entity.service, entity.name)))


def entity_for(name: str) -> Entity | None:
    """The entity with this singular name (`lead`), or None."""
    all_events()
    return _ENTITIES.get(name)


def entity_named(name: str) -> Entity:
    """The entity with this singular name. Raises LookupError for a name that is declared nowhere."""
    entity = entity_for(name)
    if entity is None:
        raise LookupError(f"no entity is called {name}")
    return entity
