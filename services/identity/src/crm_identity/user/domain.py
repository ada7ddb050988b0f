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
"""Teams are part of the token, which has at most 4 KiB for all claims."""
