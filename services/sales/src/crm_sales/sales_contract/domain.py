"""Sales contracts: the state machine and the rules that need no database."""

from datetime import date

from crm_contracts.sentences import field_word, said
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "draft/draft",
    {
        "activate": ({"draft/draft"}, "active/active"),
        "end": ({"active/active"}, "ended/ended"),
        "terminate": ({"active/active"}, "terminated/terminated"),
    },
)


def require_order(start: date | None, end: date | None) -> None:
    """Refuse a contract that ends before it starts. It can last one day."""
    if start is not None and end is not None and end < start:
        raise InvalidValue("/end_date", "end-before-start", "Send a last day that is not before the first.")


def require_period(start: date | None, end: date | None, today: date) -> None:
    """Require both days, and a last day that is not in the past: the contract would end as soon as it is activated."""
    for field, day in (("start_date", start), ("end_date", end)):
        if day is None:
            raise InvalidValue(
                f"/{field}",
                "period-required",
                said("Set {field} before you activate the contract.", field=field_word("sales_contract", field)),
            )
    if end is not None and end < today:
        raise InvalidValue(
            "/end_date", "period-over", said("Move end_date first: the contract ended on {end}.", end=end)
        )
