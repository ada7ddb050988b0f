"""Letters: the state machine and the rules that need no database. Terms follow Dataverse's Letter."""

from crm_activities.activity.domain import COMMON_MOVES
from crm_contracts.activities.letter import LetterDirection, LetterReason
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


def reason_of(direction: str) -> LetterReason:
    """Return the default status reason of a completed letter: sent or received, by its direction."""
    return LetterReason.RECEIVED if direction == LetterDirection.INCOMING else LetterReason.SENT
