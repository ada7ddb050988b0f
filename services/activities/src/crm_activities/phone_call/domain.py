"""Phone calls: the state machine and the rules that need no database. Terms follow Dataverse's PhoneCall."""

from crm_activities.activity.domain import COMMON_MOVES
from crm_contracts.activities.phone_call import CallDirection, CallReason
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/open",
    {
        "complete": ({"open/*"}, "completed/made|received"),
        **COMMON_MOVES,
        "reopen": ({"completed/*", "canceled/*"}, "open/open"),
    },
)


def reason_of(direction: str) -> CallReason:
    """Return the default status reason of a completed call: made or received, by its direction."""
    return CallReason.RECEIVED if direction == CallDirection.INCOMING else CallReason.MADE
