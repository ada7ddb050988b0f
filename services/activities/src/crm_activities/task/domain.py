"""Tasks: the state machine and the rules that need no database. Terms follow Dataverse's Task."""

from decimal import Decimal

from crm_activities.activity.domain import COMMON_MOVES
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/not_started",
    {
        "start": ({"open/not_started", "open/waiting", "open/deferred"}, "open/in_progress"),
        "wait": ({"open/not_started", "open/in_progress", "open/deferred"}, "open/waiting"),
        "defer": ({"open/not_started", "open/in_progress", "open/waiting"}, "open/deferred"),
        "complete": ({"open/*"}, "completed/completed"),
        **COMMON_MOVES,
        "reopen": ({"completed/*", "canceled/*"}, "open/not_started"),
    },
)

DONE = Decimal(100)


def percent_when_reopened(percent: Decimal) -> Decimal:
    """Return the progress of a reopened task: zero if it was complete, else unchanged."""
    return Decimal(0) if percent == DONE else percent
