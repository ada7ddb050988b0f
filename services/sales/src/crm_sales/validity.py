"""What holds from a day to a day, both included; a day that is not said has no limit."""

from datetime import date

from crm_kit.errors import InvalidValue


def require_period(valid_from: date | None, valid_to: date | None) -> None:
    """Nothing ceases to be valid before it begins to."""
    if valid_from is not None and valid_to is not None and valid_to < valid_from:
        raise InvalidValue("/valid_to", "end-before-start", "The last day is before the first.")
