"""E-mails: the state machine and the rules that need no database. Terms follow Dataverse's Email."""

from collections.abc import Sequence
from typing import Any, Final

from crm_contracts.activities.activity import PartyRole
from crm_contracts.activities.email import EmailDirection, EmailReason
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "open/draft",
    {
        "send": ({"open/draft", "open/failed", "completed/pending_send"}, "completed/pending_send"),
        "complete": ({"open/*"}, "completed/sent|received"),
        "reschedule": ({"open/*"}, "open/*"),
        "snooze": ({"open/*"}, "open/*"),
        "cancel": ({"open/*"}, "canceled/canceled"),
        "reopen": ({"completed/sent", "completed/received", "canceled/*"}, "open/draft"),
    },
    by_time={
        "deliver": ({"completed/pending_send"}, "completed/sent"),
        "fail": ({"completed/pending_send"}, "open/failed"),
    },
)

RECIPIENTS: Final = (PartyRole.TO, PartyRole.CC, PartyRole.BCC)


def reason_of(direction: str) -> EmailReason:
    """Return the default status reason of a mail that is logged as completed: sent or received, by its direction."""
    return EmailReason.RECEIVED if direction == EmailDirection.INCOMING else EmailReason.SENT


def recipients_of(parties: Sequence[dict[str, Any]]) -> list[str]:
    """Return the addresses of all recipients, each once, in the order to, cc, bcc.

    Addresses that differ only in the case of their letters are one (RFC 5321 §2.4 allows two, and nobody has them).
    """
    found: dict[str, str] = {}
    for role in RECIPIENTS:
        for party in parties:
            if party["role"] == role and party["address"]:
                found.setdefault(party["address"].casefold(), party["address"])
    return list(found.values())


def require_recipient(parties: Sequence[dict[str, Any]]) -> list[str]:
    """Return the addresses of all recipients. 422 ``recipient-required`` if there is none."""
    found = recipients_of(parties)
    if not found:
        raise InvalidValue(
            "/parties", "recipient-required", "Add a recipient with an address before you send the mail."
        )
    return found


def require_confirmation(*, uncertain: bool, confirmed: bool) -> None:
    """409 ``delivery-uncertain`` for a mail that may have been delivered, unless the caller confirms."""
    if uncertain and not confirmed:
        raise DomainError(
            "delivery-uncertain",
            "The mail may have been delivered: the server did not answer. Ask a recipient, then send `confirm: true` to "
            "send it again.",
        )
