"""Faxes: the state machine and the rules that need no database. Terms follow Dataverse's Fax."""

from crm_activities.activity.domain import COMMON_MOVES
from crm_contracts.activities.fax import FaxDirection, FaxReason
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/open",
    {
        "draft": ({"open/open"}, "open/draft"),
        "complete": ({"open/*"}, "completed/sent|received"),
        **COMMON_MOVES,
        "reopen": ({"completed/*", "canceled/*"}, "open/open"),
    },
)


def reason_of(direction: str) -> FaxReason:
    """Return the default status reason of a completed fax: sent or received, by its direction."""
    return FaxReason.RECEIVED if direction == FaxDirection.INCOMING else FaxReason.SENT
