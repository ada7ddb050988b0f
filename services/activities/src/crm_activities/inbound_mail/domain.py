"""Incoming mails: the state machine. Reading moves a mail on; operators replay it or have it ignored."""

from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "pending/received",
    {
        "replay": ({"read/*", "unreadable/*", "ignored/*"}, "pending/replayed"),
        "ignore": ({"pending/*", "unreadable/*"}, "ignored/ignored"),
    },
    by_time={
        "take": ({"pending/*"}, "read/email|known|own|bounce|complaint"),
        "give_up": ({"pending/*"}, "unreadable/failed"),
    },
)
