"""Tasks: the state machine and the rules that need no database. Terms follow Dataverse's Task."""

from datetime import datetime
from decimal import Decimal

from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/not_started",
    {
        "start": ({"open/not_started", "open/waiting", "open/deferred"}, "open/in_progress"),
        "wait": ({"open/not_started", "open/in_progress", "open/deferred"}, "open/waiting"),
        "defer": ({"open/not_started", "open/in_progress", "open/waiting"}, "open/deferred"),
        "reschedule": ({"open/*"}, "open/*"),
        "snooze": ({"open/*"}, "open/*"),
        "complete": ({"open/*"}, "completed/completed"),
        "cancel": ({"open/*"}, "canceled/canceled"),
        "reopen": ({"completed/*", "canceled/*"}, "open/not_started"),
    },
)

DONE = Decimal(100)


def require_future(until: datetime, now: datetime) -> None:
    """A reminder is put off to a later moment, not to one that has been."""
    if until <= now:
        raise InvalidValue("/until", "not-in-the-future", "A reminder can only be put off to a moment that is to come.")


def percent_when_reopened(percent: Decimal) -> Decimal:
    """Work that was called done starts over; work that was given up goes on where it was."""
    return Decimal(0) if percent == DONE else percent
