"""Contacts: the state machine and the full name."""

from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE


def full_name(first_name: str | None, last_name: str | None) -> str:
    """Join first and last name."""
    return " ".join(part for part in (first_name, last_name) if part)
