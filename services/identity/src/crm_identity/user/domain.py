"""The states of a user."""

from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "active/active",
    {
        "disable": ({"active/active"}, "disabled/disabled"),
        "enable": ({"disabled/disabled"}, "active/active"),
    },
)

MAX_TEAMS = 40
"""Teams travel in the token, which has 4 KiB for all its claims."""
