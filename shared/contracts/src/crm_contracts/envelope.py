"""The envelope of events in outboxes, queues and the stream: CloudEvents 1.0 in structured mode.

Producers write it from plain dicts, and consumers read bytes into an `Envelope`. An attribute without a value is left out, as
CloudEvents requires. Unknown attributes and fields of the data are ignored.
"""

import re
from collections.abc import Callable, Iterable, Mapping
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
"""The most bytes of an event, including its envelope."""
MOST_BYTES: Final = MAX_BYTES + 65_536
"""The most bytes that a consumer reads. A snapshot is a little larger than the events of its record."""
MAX_VERSION: Final = 2_147_483_647
MAX_DEPTH: Final = 64
"""Levels of nested objects and lists, including the body itself."""
MAX_TEXT: Final = 128
"""Characters of an actor, a correlation id or a causation id."""
MAX_ADDRESS: Final = 250
"""Characters of a source or a dataschema."""
MAX_TRACESTATE: Final = 512
MAX_BASE: Final = 100
"""Characters of the base of a dataschema."""
URN: Final = "urn:liaison:schema:"
"""The base of a `dataschema` where no URL is known."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

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
OPTIONAL: Final = ("causationid", "ownerid", "businessunit", "traceparent", "tracestate", "epoch")
HEADERS: Final = ("id", "type", "source", "subject", "traceparent")
"""Attributes that are repeated as AMQP headers. The relay also adds `crm-version` and `crm-seq`."""

_TYPE: Final = re.compile(
    r"crm\.(?P<service>[a-z]{1,30})\.(?P<entity>[a-z][a-z_]{0,49})\.(?P<fact>[a-z][a-z_]{0,49})"
    r"\.v(?P<major>[1-9][0-9]{0,2})"
)
_RELATIVE: Final = b'"dataschema":"/schemas/'
_RELATIVE_SCHEMA: Final = re.compile(rb'"dataschema":"/schemas/([a-z0-9_.]+)\.json"')
_HEAD: Final = 600
"""Bytes of a body within which its `dataschema` begins."""
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class EnvelopeError(ValueError):
    """The bytes are not an event of this system. The message names the attribute, but never its value."""


class TypeName(NamedTuple):
    """The four parts of `crm.<service>.<entity>.<fact>.v<major>`."""

    service: str
    entity: str
    fact: str
    major: int


def parse_type(type_: str) -> TypeName:
    """Return the parts of an event type. Raises EnvelopeError for any other text."""
    match = _TYPE.fullmatch(type_)
    if match is None:
        raise EnvelopeError("type is not of the form crm.<service>.<entity>.<fact>.v<major>")
    return TypeName(match["service"], match["entity"], match["fact"], int(match["major"]))


def source_of(service: str) -> str:
    """Return the `source` of a service's events, such as `/crm/sales`."""
    return f"/crm/{service}"


def dataschema_of(type_: str, base: str = URN) -> str:
    """Return the `dataschema` of an event type, an absolute URI: `urn:liaison:schema:crm.sales.lead.qualified.v1`.

    A `base` that ends with a slash is the URL of a folder: `https://crm.example.com/schemas/crm.sales.lead.qualified.v1.json`.
    """
    return f"{base}{type_}.json" if base.endswith("/") else f"{base}{type_}"


def with_absolute_schema(body: bytes, base: str = URN) -> bytes:
    """Return the body of an event with an absolute `dataschema`. Earlier releases stored a relative one.

    CloudEvents 1.0 demands an absolute URI, and its SDKs refuse others.
    """
    if _RELATIVE not in body[:_HEAD]:
        return body
    return _RELATIVE_SCHEMA.sub(
        lambda found: f'"dataschema":"{dataschema_of(found[1].decode(), base)}"'.encode(), body, count=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A received event. `epoch` and then `entityversion` show the order of events and missing events. Within an epoch, the
    versions of a `subject` have no gaps."""

    id: UUID
    source: str
    type: str
    subject: UUID
    time: datetime
    dataschema: str
    entityversion: int
    actor: str
    """`user:<id>`, `client:<id>`, `system:<service>` or `operator:<login>`."""
    correlationid: str
    data: dict[str, Any]
    causationid: str | None = None
    ownerid: UUID | None = None
    businessunit: UUID | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    epoch: int = 0
    """Increases when the publisher's database is restored. Later events then replace earlier ones. 0 before the first restore."""
    specversion: str = SPECVERSION
    datacontenttype: str = DATA_CONTENT_TYPE

    @classmethod
    def from_json(cls, body: bytes | str) -> "Envelope":
        """Read a message body. Raises EnvelopeError if it is not an event of this system."""
        raw = body.encode(errors="surrogatepass") if isinstance(body, str) else body
        check_size(raw)
        try:
            document = from_json(raw)
        except ValueError as error:
            raise EnvelopeError(f"the body is not JSON: {error}") from None
        return cls.of(document, raw)

    @classmethod
    def of(cls, document: Any, body: bytes | None = None) -> "Envelope":
        """Read a decoded body. Unknown attributes are ignored. Raises EnvelopeError if it is not an event of this system.

        With `body`, the bytes from which it was decoded, its texts and its depth are checked, too.
        """
        if body is not None:
            _check_inside(document, body)
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
        if values["source"] != source_of(values["type"].split(".", 2)[1]):
            raise EnvelopeError("source is not the service of type")
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """Return the envelope as JSON values. Attributes without a value are left out."""
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
            if attribute == "epoch":
                if self.epoch:
                    document[attribute] = self.epoch
            elif value is not None:
                document[attribute] = str(value)
        document["data"] = self.data
        return document


def check_size(body: bytes) -> None:
    """Raise EnvelopeError if the body has more than `MOST_BYTES` bytes. Call it before decoding."""
    if len(body) > MOST_BYTES:
        raise EnvelopeError(f"the body has more than {MOST_BYTES} bytes")


def _check_inside(document: Any, body: bytes) -> None:
    """Raise EnvelopeError for U+0000, which texts of PostgreSQL cannot contain, and for a body that is nested too deeply.

    For nearly every body, a search of its bytes is enough.
    """
    if b"\\u0000" not in body and body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                _refuse_nul(value)
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
            elif isinstance(value, str):
                _refuse_nul((value,))
        if not inner:
            return
        level = inner
    raise EnvelopeError(f"the body is nested more than {MAX_DEPTH} deep")


def _refuse_nul(texts: Iterable[str]) -> None:
    if any("\0" in text for text in texts):
        raise EnvelopeError("a text in the body holds U+0000")


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError
        text: str = value
        return text

    return read


def _id(value: Any) -> UUID:
    if len(value) != 36:  # not in braces, not as a URN
        raise ValueError
    return UUID(value)


def _address(value: Any) -> str:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= MAX_ADDRESS
        or not value.isascii()
        or not value.isprintable()
    ):
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError
    return value


def _version(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_VERSION:
        raise ValueError
    return value


def _epoch(value: Any) -> int:
    return 0 if value == 0 and value is not False else _version(value)


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError
    time = time.astimezone(UTC)
    if not EARLIEST <= time < LATEST:
        raise ValueError
    return time


def _tracestate(value: Any) -> str | None:
    """Return a valid tracestate. An invalid one is ignored, as Trace Context requires."""
    fit = isinstance(value, str) and 0 < len(value) <= MAX_TRACESTATE and value.isascii() and value.isprintable()
    return value if fit else None


def _data(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    return value


_READ_REQUIRED: Final[tuple[tuple[str, Any], ...]] = (
    ("id", _id),
    ("source", _address),
    ("type", _matching(_TYPE)),
    ("subject", _id),
    ("time", _time),
    ("dataschema", _address),
    ("entityversion", _version),
    ("actor", _text),
    ("correlationid", _text),
    ("data", _data),
)
_READ_OPTIONAL: Final[tuple[tuple[str, Any], ...]] = (
    ("causationid", _text),
    ("ownerid", _id),
    ("businessunit", _id),
    ("traceparent", _matching(_TRACEPARENT)),
    ("tracestate", _tracestate),
    ("epoch", _epoch),
)
