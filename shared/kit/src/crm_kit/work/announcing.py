"""Builds what a service writes for an event: the bytes of the CloudEvent (structured mode, JSON) and its outbox and audit row."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from crm_contracts.catalogue import Event
from crm_contracts.envelope import DATA_CONTENT_TYPE, MAX_BYTES, SPECVERSION, dataschema_of, source_of
from crm_contracts.sentences import said
from crm_contracts.types import STORED
from crm_kit.errors import DomainError, FieldError
from crm_kit.store.presenter import encode, to_json
from crm_kit.store.record import OwnedRecord, Record, new_id
from crm_kit.work.outbox import shard_of

LONG_TEXT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Cause:
    """The request or event that caused a unit of work, and its trace."""

    correlation_id: str
    causation_id: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The service that announces an event, the time, the actor, the cause and where its schemas are."""

    service: str
    at: datetime
    actor: str
    cause: Cause
    schemas: str
    """The base of the events' `dataschema`."""


def announce(
    origin: Origin,
    record: Record,
    event: type[Event],
    facts: dict[str, Any],
    as_json: bytes,
    difference: dict[str, Any],
    *,
    whole: bool,
) -> tuple[dict[str, Any], bytes]:
    """Return the row for outbox and audit, and the bytes to publish.

    With ``whole`` the audit keeps the whole record; otherwise it keeps the changes.
    """
    event_id, subject, cause = str(new_id()), str(record.id), origin.cause
    fragment = orjson.Fragment(as_json)
    envelope: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": event_id,
        "source": source_of(origin.service),
        "type": event.type,
        "subject": subject,
        "time": origin.at,
        "datacontenttype": DATA_CONTENT_TYPE,
        "dataschema": dataschema_of(event.type, origin.schemas),
        "entityversion": record.version,
        "actor": origin.actor,
        "correlationid": cause.correlation_id,
    }
    if cause.causation_id is not None:
        envelope["causationid"] = cause.causation_id
    if isinstance(record, OwnedRecord):
        envelope["ownerid"], envelope["businessunit"] = record.owner_id, record.business_unit_id
    if cause.traceparent is not None:
        envelope["traceparent"] = cause.traceparent
    if cause.tracestate is not None:
        envelope["tracestate"] = cause.tracestate
    envelope["data"] = {"record": fragment, "changed": changed(difference), **facts}
    row = {
        "id": event_id,
        "shard": shard_of(record.id),
        "entity_type": record.entity(),
        "entity_id": subject,
        "entity_version": record.version,
        "type": event.type,
        "fact": event.type.split(".")[3],
        "traceparent": cause.traceparent,
        "at": origin.at,
        "actor": origin.actor,
        "correlation_id": cause.correlation_id,
        "changes": None if whole else orjson.Fragment(to_json(_kept(difference, facts))),
        "record": fragment if whole else None,
    }
    return row, to_json(envelope)


def validate(event: type[Event], as_json: bytes, difference: dict[str, Any], facts: dict[str, Any]) -> None:
    """Check an event against its contract. Raises pydantic's ValidationError, which names the invalid field."""
    told = to_json({"record": orjson.Fragment(as_json), "changed": changed(difference), **facts})
    event.model_validate_json(told, context={STORED: True})


def changed(difference: dict[str, Any]) -> dict[str, Any]:
    """Return the changes as an event carries them.

    For a long text or a list of parts, the event says only that it changed. The history keeps the values.
    """
    return {field: _brief(values) for field, values in difference.items()}


def _kept(difference: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Return the changes that the history keeps. They include the survivor of a merge, which is not a field that clients see."""
    survivor = facts.get("survivor_id")
    return difference if survivor is None else {**difference, "survivor_id": {"old": None, "new": survivor}}


def _brief(values: dict[str, Any]) -> dict[str, Any]:
    for value in values.values():
        if isinstance(value, list) or (isinstance(value, str) and len(value.encode()) > LONG_TEXT_BYTES):
            return {"changed": True}
    return values


def too_large(shown: dict[str, Any]) -> DomainError:
    """Return the error 422 ``too-large``, which names the largest field."""
    field = max(shown, key=lambda name: len(orjson.dumps(shown[name], default=encode)))
    message = said("Shorten this: the record with its changes is larger than {most} bytes.", most=MAX_BYTES)
    return DomainError("too-large", message, (FieldError(f"/{field}", "too-large", message),))
