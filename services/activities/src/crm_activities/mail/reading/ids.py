"""Message ids: those of fields, and those derived from the bytes of a message that has none."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

LONGEST_ID: Final = 512
"""Characters of an id. A longer one is no id that a mail program made."""
MOST_REFERENCES: Final = 200
"""References kept: the first, which began the thread, and the latest."""
_ID: Final = re.compile(r"<([^<>]*)>")
_BLANK: Final = re.compile(r"\s+")
DERIVED: Final = "derived.invalid"
"""The domain of derived ids. It belongs to nobody (RFC 2606)."""


def ids_of(values: Iterable[str], warnings: list[str]) -> tuple[str, ...]:
    """Return the ids of fields in their order, each once, with their angle brackets and otherwise as written."""
    found: dict[str, None] = {}
    for value in values:
        bracketed = [_BLANK.sub("", one) for one in _ID.findall(value)]
        if not bracketed:
            bracketed = [one.strip("<>,;") for one in value.split() if "@" in one]
        for one in bracketed:
            if one and len(one) <= LONGEST_ID - 2:
                found.setdefault(f"<{one}>")
            elif one:
                warnings.append("an id is too long")
    ids = tuple(found)
    if len(ids) > MOST_REFERENCES:
        warnings.append(f"more than {MOST_REFERENCES} ids")
        ids = (ids[0], *ids[1 - MOST_REFERENCES :])
    return ids


def derived_id(parts: Iterable[bytes]) -> str:
    """Return an id made of the parts of a message that are equal in every mailbox it reaches."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return f"<{digest.hexdigest()[:40]}@{DERIVED}>"
