"""Opportunities: the state machine and the rules that need no database. Terms follow Dataverse's Opportunity."""

from datetime import datetime

from crm_contracts.money import Money
from crm_contracts.sales import Tier
from crm_kit.errors import DomainError, InvalidValue
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


def require_value(value: Money | None) -> Money:
    """A won deal has a value, if only zero (Dataverse: WinOpportunity)."""
    if value is None:
        raise DomainError("actual-value-required", "Say what the deal was won with: it has no estimated value either.")
    return value


def tier_after_win(tier: str) -> Tier:
    """Winning makes a customer at least *standard*."""
    return Tier.STANDARD if tier == Tier.PROSPECT else Tier(tier)


def require_past(closed_at: datetime, now: datetime) -> datetime:
    """A deal is closed when it is said to be, never later."""
    if closed_at > now:
        raise InvalidValue("/closed_at", "in-the-future", "A deal cannot have been closed in the future.")
    return closed_at
