"""Competitors: the state machine and the rules that need no database. Terms follow Dataverse's Competitor."""

from decimal import ROUND_HALF_UP, Decimal

from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE


def win_rate(won: int, lost: int) -> Decimal | None:
    """Return the percentage of decided deals that we won, with two decimals, rounded half up.

    None without decided deals.
    """
    decided = won + lost
    return (Decimal(100 * won) / decided).quantize(Decimal("0.01"), ROUND_HALF_UP) if decided else None
