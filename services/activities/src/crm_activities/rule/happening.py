"""The events that rules can name, and the fields by which a rule selects them and writes its texts."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from crm_contracts.activities.email import Automatic, EmailReceived
from crm_contracts.catalogue import Event, all_entities, event_for, happenings
from crm_contracts.envelope import Envelope
from crm_contracts.filters import Fields, FieldType, FilterField
from crm_kit.errors import InvalidValue
from crm_kit.http.described import Described, fields_of

CHANGED: Final = "changed"
"""The filter field with the names of the fields that the event changed."""
FACTS: Final = "event."
"""The prefix of what the event tells besides its record."""
OWN_PARTS: Final = frozenset({"type", "entity", "record", CHANGED})

_TYPES: Final = {
    "text": FieldType.TEXT,
    "multiline": FieldType.TEXT,
    "email": FieldType.TEXT,
    "phone": FieldType.TEXT,
    "url": FieldType.TEXT,
    "country": FieldType.KEYWORD,
    "currency": FieldType.KEYWORD,
    "integer": FieldType.INTEGER,
    "number": FieldType.DECIMAL,
    "decimal": FieldType.DECIMAL,
    "percent": FieldType.DECIMAL,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "option": FieldType.KEYWORD,
    "id": FieldType.UUID,
}
_DEEPEST: Final = 1


@cache
def events_of_rules() -> Mapping[str, type[Event]]:
    """Return the events that a rule can name, by type: those of all records that an activity can be about."""
    followed = (entity for entity in all_entities() if not (entity.announcement or entity.setting))
    return {event.type: event for entity in followed for event in happenings(entity)}


def require_event(event_type: str) -> type[Event]:
    """Return the event. 422 unless a rule can name events of this type."""
    event = events_of_rules().get(event_type)
    if event is None:
        raise InvalidValue(
            "/event_type", "unknown-event", "Send the type of an event of a record, such as crm.sales.lead.created.v1."
        )
    return event


@cache
def fields_of_event(type_: str) -> Fields:
    """Return the fields by which a rule filters events of this type: those of the record, the facts of the event as
    ``event.<fact>``, and ``changed``."""
    event = event_for(type_)
    if event is None:
        return {}
    record = _described(event.entity.record, event)
    facts = [one for one in _described(event, event) if one.name not in OWN_PARTS]
    found = dict(_filter_fields(record, "", 0)) | dict(_filter_fields(facts, FACTS, 0))
    names = tuple(sorted(event.entity.record.model_fields))
    return found | {CHANGED: FilterField(FieldType.KEYWORD, names, many=True)}


def is_automatic(event: Envelope) -> bool:
    """Whether the event is about a received mail that a program wrote. Such mail starts nothing (RFC 3834), so that two programs
    do not answer each other for ever."""
    if event.type != EmailReceived.type:
        return False
    record = event.data.get("record")
    return isinstance(record, dict) and record.get("automatic", Automatic.NO) != Automatic.NO


def as_record(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an event in the form in which ``fields_of_event`` names its fields."""
    facts = {name: value for name, value in data.items() if name not in OWN_PARTS}
    return {**data["record"], "event": facts, CHANGED: list(data.get(CHANGED) or ())}


def _described(model: Any, event: type[Event]) -> list[Described]:
    return fields_of(model, sent=False, about=event.entity.name, to={})


def _filter_fields(described: list[Described], above: str, depth: int) -> Iterator[tuple[str, FilterField]]:
    for one in described:
        name = f"{above}{one.name}"
        if one.type == "money" and not one.many:
            yield f"{name}.amount", FilterField(FieldType.DECIMAL)
            yield f"{name}.currency", FilterField(FieldType.KEYWORD)
        elif one.type == "reference" and not _is_id(one.name):
            if not one.many:
                yield f"{name}.id", FilterField(FieldType.UUID)
                yield f"{name}.type", FilterField(FieldType.KEYWORD)
        elif one.type == "reference":
            yield name, FilterField(FieldType.UUID, many=one.many)
        elif one.type == "object":
            if not one.many and depth < _DEEPEST:
                yield from _filter_fields(one.fields, f"{name}.", depth + 1)
        elif one.type in _TYPES:
            yield name, FilterField(_TYPES[one.type], one.options, one.many)


def _is_id(name: str) -> bool:
    return name.endswith(("_id", "_ids", "_by")) or name in ("id", "merged_into", "survivor")
