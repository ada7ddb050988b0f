"""Time zones as calendars define them (RFC 5545 §3.6.5)."""

from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from icalendar import Timezone

FIRST: Final = date(1970, 1, 1)
LAST: Final = date(2040, 1, 1)
UTC: Final = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Etc/Zulu", "Universal", "Etc/Universal"})
"""Names of zones that are written as UTC."""


@lru_cache(maxsize=600)
def definition_of(zone: str) -> "Timezone":
    """Return the definition of an IANA zone: its changes of clocks from 1970 to 2040."""
    from icalendar import Timezone

    return Timezone.from_tzid(zone, first_date=FIRST, last_date=LAST)


def definitions(zones: Iterable[str]) -> "list[Timezone]":
    """Return the definitions of zones, each once and in the order of their names. UTC needs none."""
    return [definition_of(zone) for zone in sorted(set(zones) - UTC)]
