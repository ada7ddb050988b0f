"""The CloudEvents 1.0 envelope, structured mode: how an event travels in outbox, queue, stream and webhook.

Producers write the same keys from plain dicts; consumers read bytes into an `Envelope`. An attribute without a value
is left out, as CloudEvents asks; attributes and data fields that are not known are ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from pydantic_core import from_json

from .types import utc_text

SPECVERSION: Final = "1.0"
CONTENT_TYPE: Final = "application/cloudevents+json"
DATA_CONTENT_TYPE: Final = "application/json"
EXCHANGE: Final = "crm.events"
MAX_BYTES: Final = 1_048_576
"""Size limit of a whole event, envelope included."""

REQUIRED: Final = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "entityversion",
    "actor",
    "correlationid",
    "data",
)
OPTIONAL: Final = ("causationid", "ownerid", "businessunit", "traceparent", "tracestate")
HEADERS: Final = ("id", "type", "source", "subject", "traceparent")
"""Attributes that are repeated as AMQP headers; the relay adds `crm-seq`."""

_TYPE: Final = re.compile(
    r"crm\.(?P<service>[a-z]+)\.(?P<entity>[a-z][a-z_]*)\.(?P<fact>[a-z][a-z_]*)\.v(?P<major>[1-9][0-9]{0,2})"
)


class EnvelopeError(ValueError):
    """The bytes are not one of our events; the message names the attribute, never its value."""


class TypeName(NamedTuple):
    """The four parts of `crm.<service>.<entity>.<fact>.v<major>`."""

    service: str
    entity: str
    fact: str
    major: int


def parse_type(type_: str) -> TypeName:
    """The parts of an event type; raises EnvelopeError for any other text."""
    match = _TYPE.fullmatch(type_)
    if match is None:
        raise EnvelopeError("type is not of the form crm.<service>.<entity>.<fact>.v<major>")
    return TypeName(match["service"], match["entity"], match["fact"], int(match["major"]))


def source_of(service: str) -> str:
    """The `source` of a service's events: `/crm/sales`."""
    return f"/crm/{service}"


def dataschema_of(type_: str) -> str:
    """The `dataschema` of an event type: a URI relative to the gateway, `/schemas/crm.sales.lead.qualified.v1.json`."""
    return f"/schemas/{type_}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One event as received. `entityversion` is gapless per `subject` and is what order and loss are judged by."""

    id: UUID
    source: str
    type: str
    subject: UUID
    time: datetime
    dataschema: str
    entityversion: int
    actor: str
    """`user:<id>`, `client:<id>` or `system:<service>`."""
    correlationid: str
    data: dict[str, Any]
    causationid: str | None = None
    ownerid: UUID | None = None
    businessunit: UUID | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    specversion: str = SPECVERSION
    datacontenttype: str = DATA_CONTENT_TYPE

    @classmethod
    def from_json(cls, body: bytes | str) -> "Envelope":
        """Read a message body; raises EnvelopeError when it is not one of our events."""
        try:
            document = from_json(body)
        except ValueError as error:
            raise EnvelopeError(f"the body is not JSON: {error}") from None
        return cls.of(document)

    @classmethod
    def of(cls, document: Any) -> "Envelope":
        """Read a decoded body; raises EnvelopeError. Unknown attributes are ignored."""
        if not isinstance(document, Mapping):
            raise EnvelopeError("the body is not a JSON object")
        if document.get("specversion") != SPECVERSION:
            raise EnvelopeError(f"specversion is not {SPECVERSION}")
        attribute = ""
        try:
            values: dict[str, Any] = {}
            for attribute, read in _READ_REQUIRED:
                values[attribute] = read(document[attribute])
            for attribute, read in _READ_OPTIONAL:
                value = document.get(attribute)
                if value is not None:
                    values[attribute] = read(value)
        except KeyError:
            raise EnvelopeError(f"{attribute} is missing") from None
        except (TypeError, ValueError, AttributeError, OverflowError):
            raise EnvelopeError(f"{attribute} is not valid") from None
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """The wire form as plain JSON values, attributes without a value left out."""
        document: dict[str, Any] = {
            "specversion": self.specversion,
            "id": str(self.id),
            "source": self.source,
            "type": self.type,
            "subject": str(self.subject),
            "time": utc_text(self.time),
            "datacontenttype": self.datacontenttype,
            "dataschema": self.dataschema,
            "entityversion": self.entityversion,
            "actor": self.actor,
            "correlationid": self.correlationid,
        }
        for attribute in OPTIONAL:
            value = getattr(self, attribute)
            if value is not None:
                document[attribute] = str(value)
        document["data"] = self.data
        return document


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _version(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError
    return time.astimezone(UTC)


def _data(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


_READ_REQUIRED: Final[tuple[tuple[str, Any], ...]] = (
    ("id", UUID),
    ("source", _text),
    ("type", _text),
    ("subject", UUID),
    ("time", _time),
    ("dataschema", _text),
    ("entityversion", _version),
    ("actor", _text),
    ("correlationid", _text),
    ("data", _data),
)
_READ_OPTIONAL: Final[tuple[tuple[str, Any], ...]] = (
    ("causationid", _text),
    ("ownerid", UUID),
    ("businessunit", UUID),
    ("traceparent", _text),
    ("tracestate", _text),
)
