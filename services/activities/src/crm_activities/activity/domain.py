"""The rules of all activity types."""

from datetime import datetime, timedelta
from typing import Final

from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue

COMMON_MOVES: Final[dict[str, tuple[set[str], str]]] = {
    "reschedule": ({"open/*"}, "open/*"),
    "snooze": ({"open/*"}, "open/*"),
    "cancel": ({"open/*"}, "canceled/canceled"),
}
"""The moves that all types share. Each type adds how it is completed, and what reopening leads to."""

HALF_A_MINUTE: Final = timedelta(seconds=30)
LONGEST: Final = timedelta(days=366)


def require_future(until: datetime, now: datetime) -> None:
    """Refuse to postpone a reminder to a time that has passed."""
    if until <= now:
        raise InvalidValue("/until", "not-in-the-future", "Send a time in the future.")


def require_order(start: datetime | None, end: datetime | None, end_field: str) -> None:
    """Refuse an end before the start. The end can be known before the start."""
    if start is not None and end is not None and end < start:
        raise InvalidValue(f"/{end_field}", "end-before-start", "Send an end that is not before the start.")


def duration(start: datetime | None, end: datetime | None, entered: int | None) -> int | None:
    """Return whole minutes, rounded half up (Dataverse: actualdurationminutes): measured if both times are known, else
    ``entered``.

    422 ``contradicts-times`` if ``entered`` differs from the measured duration, ``too-long`` above 366 days.
    """
    if start is None or end is None:
        return entered
    measured = (end - start + HALF_A_MINUTE) // timedelta(minutes=1)
    if end - start > LONGEST:
        raise InvalidValue("/ended_at", "too-long", "Send an ended_at at most a year after started_at.")
    if entered not in (None, measured):
        message = said(
            "Leave the duration out: started_at and ended_at are {measured} minutes apart.", measured=measured
        )
        raise InvalidValue("/duration_minutes", "contradicts-times", message)
    return measured
