"""Whether a mail was written by a person (RFC 3834 2, and the fields that programs set instead)."""

from enum import StrEnum
from typing import Final

from crm_activities.mail.reading.headers import Headers
from crm_activities.mail.reading.parameters import Valued

_REPLY_FIELDS: Final = ("x-autoreply", "x-autorespond", "x-auto-reply", "x-autoreply-from", "x-autoresponse")
_BULK_FIELDS: Final = ("list-id", "list-unsubscribe", "list-post", "feedback-id", "x-mailer-daemon")
_DAEMONS: Final = frozenset({"mailer-daemon", "postmaster", "mdaemon"})


class Automatic(StrEnum):
    """How a mail came to be."""

    NO = "no"
    GENERATED = "auto_generated"
    REPLIED = "auto_replied"


def automatic_of(headers: Headers, kind: Valued, sender: str) -> Automatic:
    """Return how the mail came to be. What is doubtful counts as automatic, because answers to programs can go on for ever."""
    submitted = headers.first("auto-submitted").partition(";")[0].strip().lower()
    if submitted.startswith("auto-replied"):
        return Automatic.REPLIED
    if submitted and submitted != "no":
        return Automatic.GENERATED
    precedence = headers.first("precedence").strip().lower()
    if (
        any(headers.first(name) for name in _REPLY_FIELDS)
        or precedence == "auto_reply"
        or kind.value == "multipart/report"
    ):
        return Automatic.REPLIED
    if has_no_return_path(headers):
        return Automatic.REPLIED
    suppressed = {one.strip().lower() for one in headers.first("x-auto-response-suppress").split(",")}
    if (
        precedence in ("bulk", "junk", "list")
        or suppressed & {"all", "autoreply"}
        or is_daemon(sender)
        or any(headers.first(name) for name in _BULK_FIELDS)
    ):
        return Automatic.GENERATED
    return Automatic.NO


def has_no_return_path(headers: Headers) -> bool:
    """Whether the envelope had no sender, so that nobody wants an answer (RFC 5321 4.5.5)."""
    return any(value.replace(" ", "") == "<>" for value in headers.all("return-path"))


def is_daemon(address: str) -> bool:
    """Whether the address is that of a mail server."""
    return address.partition("@")[0].lower() in _DAEMONS
