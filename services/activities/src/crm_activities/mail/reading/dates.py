"""Dates of mail."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


def date_of(text: str) -> datetime | None:
    """Return the instant of a Date field in UTC; None if it cannot be read. A date without a zone is UTC (RFC 5322 3.3)."""
    if not text or len(text) > 200:
        return None
    try:
        found = parsedate_to_datetime(text)
        at = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None
    return at if at >= EARLIEST else None
