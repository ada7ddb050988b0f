"""Cases: the state machine and the rules that need no database. Terms follow Dataverse's Incident."""

from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "active/in_progress",
    {
        "hold": ({"active/in_progress", "active/waiting_for_details", "active/researching"}, "active/on_hold"),
        "wait": ({"active/in_progress", "active/on_hold", "active/researching"}, "active/waiting_for_details"),
        "research": ({"active/in_progress", "active/on_hold", "active/waiting_for_details"}, "active/researching"),
        "resume": ({"active/on_hold", "active/waiting_for_details", "active/researching"}, "active/in_progress"),
        "escalate": ({"active/*"}, "active/*"),
        "resolve": ({"active/*"}, "resolved/problem_solved|information_provided"),
        "cancel": ({"active/*"}, "canceled/canceled"),
        "reactivate": ({"resolved/*", "canceled/*"}, "active/in_progress"),
    },
)


def require_billable(minutes: int, billable_minutes: int) -> None:
    """Refuse to bill more time than was spent (Dataverse: IncidentResolution)."""
    if billable_minutes > minutes:
        raise InvalidValue(
            "/billable_minutes",
            "more-than-spent",
            said("Send at most the {minutes} minutes that were spent.", minutes=minutes),
        )
