"""The catalogue of events: the base of all events, and the list of them.

An event is declared once, in the module of the service that publishes it. Its type is written out, because the type never changes
and a class name may.
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
"""Services with events. Each is a module of this package, or a package with a module for each entity."""

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
"""A record in the form in which an event carries it."""
Naming = str | Callable[[Raw], str | None]
"""The field with a record's name, or a function that makes the name from the fields."""


def called(name: str) -> Callable[[Raw], str | None]:
    """Return a naming that gives all records the same name."""
    return lambda _: name


@dataclass(frozen=True, slots=True)
class Entity:
    """The declaration of a record type. Paths, references, titles and privileges are derived from it."""

    service: str
    """The service that owns the records and publishes their events."""
    name: str
    """The singular name, as in events, references and privileges."""
    collection: str
    """The path of its records below `/api/v1/`."""
    record: type[RecordModel]
    owned: bool
    """Whether its records have an owner, and its events an `ownerid`."""
    named: Naming = "name"
    """The name of a record, which references to it show."""
    label: str | None = None
    """The name for people, if it differs from `name`."""
    kinds: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The names for people by the value of the field `kind`, if they differ from the label."""
    announcement: bool = False
    """Whether the record exists only in events. It then has no path and no references."""
    setting: bool = False
    """True for settings of the organisation or of a service. No activity is about them, and no timeline shows them."""

    @property
    def path(self) -> str:
        """The gateway's path of the list of records, without the host."""
        return f"/api/v1/{self.collection}"

    def path_of(self, record_id: UUID) -> str:
        """Return the gateway's path of a record, without the host."""
        return f"{self.path}/{record_id}"

    def name_of(self, record: Raw) -> str | None:
        """Return the name of a record in the form in which an event carries it."""
        return record.get(self.named) if isinstance(self.named, str) else self.named(record)

    def label_of(self, kind: str | None = None) -> str:
        """Return the name of a record or of this kind of it for people, such as `Deal` or `Credit note`."""
        return self.kinds.get(kind or "") or self.label or self.name.replace("_", " ").capitalize()


class Event(BaseModel):
    """Something that happened to one record. `record` is the whole record after it (before it, for a delete)."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)

    type: ClassVar[str]
    entity: ClassVar[Entity]
    phrase: ClassVar[str | None] = None
    """The words for people for what happened, such as `put on hold`, if they differ from the fact in the type."""
    timeline: ClassVar[tuple[str, ...]] = ()
    """The facts that a timeline stores and shows. They must not include free text or names of people."""
    headline: ClassVar[str | None] = None
    """The fact of `timeline` that the title shows: an amount or a word."""

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
        """Read the `data` of a received event. Unknown fields are ignored. Unknown enum values stay plain text.

        Raises pydantic.ValidationError if the data breaks the contract.
        """
        return cls.model_validate(data, extra="ignore", context=_CONSUMER)

    @classmethod
    def summary(cls) -> str:
        """Return the description of the event, which is its docstring."""
        return " ".join((cls.__doc__ or "").split())


_EVENTS: Final[dict[str, type[Event]]] = {}
_ENTITIES: Final[dict[str, Entity]] = {}


@cache
def all_events() -> tuple[type[Event], ...]:
    """Return the events of all services, sorted by type."""
    for publisher in PUBLISHERS:
        package = import_module(f"{__package__}.{publisher}")
        for module in iter_modules(getattr(package, "__path__", ())):
            import_module(f"{package.__name__}.{module.name}")
    return tuple(_EVENTS[type_] for type_ in sorted(_EVENTS))


def event_for(type_: str) -> type[Event] | None:
    """Return the event of this type, or None. Consumers acknowledge and count unknown events."""
    all_events()
    return _EVENTS.get(type_)


def change_of(service: str, entity: str, fact: str = "updated") -> type[Event]:
    """Return the latest version of the event with which a service announces changed fields of a record, or another fact.

    Raises ValueError if there is no such event.
    """
    if service in PUBLISHERS:
        import_module(f"{__package__}.{service}")
    stem = f"crm.{service}.{entity}.{fact}.v"
    return max(
        (event for type_, event in _EVENTS.items() if type_.startswith(stem)),
        key=lambda event: parse_type(event.type).major,
    )


def events_of(service: str) -> tuple[type[Event], ...]:
    """Return the events that a service publishes, sorted by type."""
    return tuple(event for event in all_events() if event.entity.service == service)


def events_about(entity: Entity) -> tuple[type[Event], ...]:
    """Return the events about records of this entity, sorted by type."""
    return tuple(event for event in all_events() if event.entity is entity)


def happenings(entity: Entity) -> tuple[type[Event], ...]:
    """Return the events about an entity except its snapshot, which the handlers of ``.updated`` get."""
    return tuple(event for event in events_about(entity) if ".snapshot.v" not in event.type)


@cache
def all_entities() -> tuple[Entity, ...]:
    """Return the entities with events, sorted by service and name."""
    return tuple(sorted({event.entity for event in all_events()}, key=lambda entity: (entity.service, entity.name)))


def entity_for(name: str) -> Entity | None:
    """Return the entity with this singular name (`lead`), or None."""
    all_events()
    return _ENTITIES.get(name)


def entity_named(name: str) -> Entity:
    """Return the entity with this singular name. Raises LookupError if no entity has it."""
    entity = entity_for(name)
    if entity is None:
        raise LookupError(f"no entity is called {name}")
    return entity
