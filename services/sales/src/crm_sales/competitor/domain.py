"""Competitors: the state machine and the rules that need no database. Terms follow Dataverse's Competitor."""

from decimal import ROUND_HALF_UP, Decimal

from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE


def win_rate(won: int, lost: int) -> Decimal | None:
    """How many percent of the deals decided between a competitor and us we won, two decimals, half up; None without any."""
    decided = won + lost
    return (Decimal(100 * won) / decided).quantize(Decimal("0.01"), ROUND_HALF_UP) if decided else None
