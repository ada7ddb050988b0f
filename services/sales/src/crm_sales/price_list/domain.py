"""Price lists: the state machine and the rules that need no database."""

from datetime import date

from crm_contracts.sentences import said
from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE


def why_not_in_force(valid_from: date | None, valid_to: date | None, day: date) -> str | None:
    """Return why a price list is not valid on this day; None if it is."""
    if valid_from is not None and day < valid_from:
        return said("Choose another price list: this one is valid from {day}.", day=valid_from)
    if valid_to is not None and day > valid_to:
        return said("Choose another price list: this one was valid until {day}.", day=valid_to)
    return None
