"""The states of an API client."""

from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "active/active",
    {
        "activate": ({"inactive/inactive"}, "active/active"),
        "deactivate": ({"active/active"}, "inactive/inactive"),
    },
)
