"""Opportunities: the state machine and the rules that need no database. Terms follow Dataverse's Opportunity."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from crm_contracts.money import Money
from crm_contracts.sales.choices import EstimatedValueSource, Tier
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/in_progress",
    {
        "advance": ({"open/in_progress"}, "open/in_progress"),
        "hold": ({"open/in_progress"}, "open/on_hold"),
        "resume": ({"open/on_hold"}, "open/in_progress"),
        "win": ({"open/*"}, "won/won"),
        "lose": ({"open/*"}, "lost/canceled|out_sold"),
        "reopen": ({"won/*", "lost/*"}, "open/in_progress"),
    },
)


MAX_COMPETITORS = 50
"""Maximum number of competitors of a deal."""


def require_value(value: Money | None) -> Money:
    """Require a value for a won deal; zero is a value (Dataverse: WinOpportunity)."""
    if value is None:
        message = "Send actual_value: the deal has no estimated value to use instead."
        raise InvalidValue("/actual_value", "actual-value-required", message)
    return value


def require_own_value(source: str, given: Money | None, known: Money | None) -> None:
    """Refuse another estimated value if the lines determine it. Sending the current value back is accepted."""
    if source == EstimatedValueSource.LINES and given != known:
        message = "The value of this deal is the sum of its lines. Change them, or set estimated_value_source to user."
        raise InvalidValue("/estimated_value", "value-from-lines", message)


def tier_after_win(tier: str) -> Tier:
    """Return the tier after a win: at least *standard*."""
    return Tier.STANDARD if tier == Tier.PROSPECT else Tier(tier)


def require_past(closed_at: datetime, now: datetime) -> datetime:
    """Require a close time that is not in the future."""
    if closed_at > now:
        raise InvalidValue("/closed_at", "in-the-future", "Send a time that is not in the future.")
    return closed_at


def with_competitor(named: list[UUID], winner: UUID) -> list[UUID]:
    """Return the competitors of the deal including the winner."""
    if winner in named:
        return named
    if len(named) == MAX_COMPETITORS:
        message = said("Remove a competitor first: a deal names at most {most}.", most=MAX_COMPETITORS)
        raise InvalidValue("/competitor_id", "too-many-competitors", message)
    return [*named, winner]


def require_kept(named: list[UUID], lost_to: Iterable[str | None]) -> None:
    """Refuse to remove a competitor that a close record names. Figures and in-use checks read this list."""
    missing = {one for one in lost_to if one is not None} - {str(one) for one in named}
    if missing:
        message = "Keep every competitor that a close record of this deal names."
        raise InvalidValue("/competitor_ids", "competitor-kept", message)
