"""Validity from a day to a day, both included. A missing day is unlimited."""

from datetime import date

from crm_kit.errors import InvalidValue


def require_period(first: date | None, last: date | None, pointer: str = "/valid_to") -> None:
    """Refuse a last day before the first. ``pointer`` is that of the last day."""
    if first is not None and last is not None and last < first:
        raise InvalidValue(pointer, "end-before-start", "Send a last day that is not before the first.")
