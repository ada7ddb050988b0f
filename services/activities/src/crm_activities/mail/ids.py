"""Message-IDs, and the chain of them that a mail names (RFC 5322 §3.6.4)."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import idna

from crm_contracts.activities.email import MOST_REFERENCES

MOST_BYTES: Final = 900
"""The most bytes of a Message-ID. An index of PostgreSQL takes no longer ones; RFC 5322 has lines of at most 998."""
_OUTSIDE: Final = re.compile(r"[\s\x00-\x1f\x7f]+")


def new_message_id(email_id: UUID, address: str) -> str:
    """Return the Message-ID of a mail of ours. It is always the same for a mail, so that a second copy is known as one."""
    return f"<{email_id.hex}@{ascii_domain(address)}>"


def ascii_domain(address: str) -> str:
    """Return the domain of an address in ASCII (A-labels of IDNA 2008, as addresses are stored; RFC 5891).

    Python's own codec has IDNA 2003, which makes another domain of `faß.de`.
    """
    domain = address.rpartition("@")[2]
    return domain if domain.isascii() else idna.encode(domain, uts46=False).decode()


def known_id(message_id: str) -> str:
    """Return a Message-ID as it is compared: as it was written, without white space.

    One that is too long for an index is replaced by its digest.
    """
    kept = _OUTSIDE.sub("", message_id)
    if len(kept.encode()) <= MOST_BYTES:
        return kept
    return f"<{hashlib.sha256(kept.encode()).hexdigest()}@too-long.invalid>"


def chain(references: Iterable[str], *more: str | None) -> list[str]:
    """Return Message-IDs in order, each once. Of more than 100, the first and the last are kept."""
    found = [known_id(one) for one in (*references, *more) if one and len(one) >= 3]
    # An id counts where it was named last: that is where it stands in the conversation.
    once = list(dict.fromkeys(reversed(found)))[::-1]
    return once if len(once) <= MOST_REFERENCES else [once[0], *once[1 - MOST_REFERENCES :]]


def answers(message_id: str | None, in_reply_to: str | None, references: Sequence[str]) -> list[str]:
    """Return the references of a mail that answers the one with these fields (RFC 5322 §3.6.4)."""
    return chain(references or ([in_reply_to] if in_reply_to else []), message_id)
