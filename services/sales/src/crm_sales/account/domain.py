"""Accounts: the state machine and the rules that need no database."""

from crm_kit.lifecycle import ACTIVE_INACTIVE

LIFECYCLE = ACTIVE_INACTIVE

MAX_ANCESTORS = 50
"""Maximum depth of the account hierarchy."""
