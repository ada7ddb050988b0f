"""Campaigns: the state machine and the rules that need no database. Terms follow Dataverse's Campaign."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from crm_contracts.money import Money
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "proposed/proposed",
    {
        "ready": ({"proposed/*"}, "ready/ready"),
        "launch": ({"ready/*"}, "launched/launched"),
        "suspend": ({"launched/*"}, "suspended/suspended"),
        "resume": ({"suspended/*"}, "launched/launched"),
        "complete": ({"launched/*", "suspended/*"}, "completed/completed"),
        "cancel": ({"proposed/*", "ready/*", "launched/*", "suspended/*"}, "canceled/canceled"),
    },
)

NAME_LENGTH = 200
ROI_QUANTUM = Decimal("0.0001")


def name_of_copy(name: str) -> str:
    """Return the default name of a copy, at most 200 characters."""
    copied = f"Copy of {name}"
    return copied if len(copied) <= NAME_LENGTH else copied[: NAME_LENGTH - 1].rstrip() + "…"


def require_order(start: date | None, end: date | None) -> None:
    """Refuse a campaign that ends before it starts."""
    if start is not None and end is not None and end < start:
        raise InvalidValue(
            "/proposed_end", "end-before-start", "Send a proposed_end that is not before proposed_start."
        )


def require_base_currency(field: str, amount: Money | None, base: str) -> None:
    """Require base currency, because amounts are compared with revenue in base currency and marketing has no exchange
    rates."""
    if amount is not None and amount.currency != base:
        message = said("Send the amount in the organisation's base currency, {base}.", base=base)
        raise InvalidValue(f"/{field}/currency", "currency-mismatch", message)


def require_not_launched(actual_start: date | None) -> None:
    """Refuse to make a launched campaign a template. ``copy`` can make a template from it."""
    if actual_start is not None:
        message = "A launched campaign cannot become a template. Copy it as a template instead."
        raise InvalidValue("/is_template", "already-launched", message)


def return_on_investment(won_revenue: Decimal, cost: Decimal) -> Decimal | None:
    """Return (won revenue − cost) / cost with four decimals, rounded half up: 1.5 is 150 percent.

    None without costs.
    """
    return ((won_revenue - cost) / cost).quantize(ROI_QUANTUM, ROUND_HALF_UP) if cost else None
