"""Accounts: the state machine and the rules that need no database."""

import re

from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE

MAX_ANCESTORS = 50
"""How deep a tree of accounts may be."""

DRAWN_NUMBER = re.compile(r"ACC-[0-9]+", re.IGNORECASE)


def require_own_number(number: str | None) -> None:
    """Numbers such as ACC-00042 are drawn, or one day a drawn number would meet a given one."""
    if number is not None and DRAWN_NUMBER.fullmatch(number):
        message = "Numbers of the form ACC-00042 are drawn by the service; leave the number out, or give one of yours."
        raise InvalidValue("/number", "reserved-number", message)
