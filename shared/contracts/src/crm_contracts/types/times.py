"""Dates and instants."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _date(value: Any) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value.strip()):
        try:
            return date.fromisoformat(value.strip())
        except ValueError:
            raise PydanticCustomError("date", "Send a day that exists.") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise PydanticCustomError("date", "Send a date of the form YYYY-MM-DD.")


Date = Annotated[
    date,
    PlainValidator(_date),
    PlainSerializer(date.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-05-04"]}),
]
"""A calendar date in the organisation's time zone, YYYY-MM-DD."""


def _utc(value: Any) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise PydanticCustomError("datetime", "Send an RFC 3339 time such as 2026-05-04T09:30:00Z.") from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise PydanticCustomError("datetime", "Send an RFC 3339 time with its offset, such as 2026-05-04T09:30:00Z.")
    if value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime", "Send a time that is within the years 1 to 9999 in UTC.") from None


def utc_text(value: datetime) -> str:
    """Return an instant as RFC 3339 with Z. Microseconds are left out if they are 0."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


UtcDatetime = Annotated[
    datetime,
    PlainValidator(_utc),
    PlainSerializer(utc_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-05-04T09:30:00Z"]}),
]
"""An instant. Input may have any offset; the value is stored and written in UTC."""
