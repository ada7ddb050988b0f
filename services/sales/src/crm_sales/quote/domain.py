"""Quotes: the state machine and the rules that need no database. Terms follow Dataverse's Quote."""

from datetime import date

from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "draft/draft",
    {
        "reprice": ({"draft/draft"}, "draft/draft"),
        "activate": ({"draft/draft"}, "active/active"),
        "win": ({"active/active"}, "won/won"),
        "order": ({"active/active", "won/won"}, "won/won"),
        "lose": ({"active/active"}, "closed/lost"),
        "cancel": ({"draft/draft", "active/active"}, "closed/canceled"),
        "revise": ({"active/active", "closed/lost", "closed/canceled", "closed/expired"}, "closed/revised"),
    },
    # When the deal with which it was closed is reopened.
    by_others={"reopen": ({"closed/lost", "closed/canceled"}, "draft/draft, active/active")},
    by_time={"expire": ({"active/active"}, "closed/expired")},
)

LIVE = ("draft", "active", "won")
"""At most one revision of a number can have one of these statuses."""


def require_something_to_sell(lines: int) -> None:
    """Refuse a quote without lines: 422 ``lines-required``."""
    if lines == 0:
        raise DomainError("lines-required", "Add at least one line before you activate the quote.")


def require_days_left(effective_to: date | None, today: date) -> None:
    """Refuse a quote whose last day has passed, because it would expire at once."""
    if effective_to is not None and effective_to < today:
        raise DomainError(
            "already-expired",
            said("The last day of the quote was {effective_to}. Move effective_to first.", effective_to=effective_to),
        )
