"""Contacts: the state machine and how a name is put together."""

from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE


def full_name(first_name: str | None, last_name: str | None) -> str:
    """First and last name as one text."""
    return " ".join(part for part in (first_name, last_name) if part)
