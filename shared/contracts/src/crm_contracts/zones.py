"""IANA time zones as clients send them: fields of organisations, users and appointments."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


@cache
def zones() -> frozenset[str]:
    """Return the names of all zones that this machine knows."""
    return frozenset(available_timezones())


def _zone(value: str) -> str:
    if value not in zones():
        raise PydanticCustomError("time_zone", "Send an IANA time zone such as Europe/Vienna.")
    return value


TimeZone = Annotated[
    str,
    AfterValidator(_zone),
    WithJsonSchema({"type": "string", "maxLength": 64, "examples": ["Europe/Vienna"]}),
]
"""An IANA time zone."""
