"""Lists of addresses as mail programs write them (RFC 5322 3.4, and what they write instead).

A list is cut into elements before anything is decoded, so that a comma inside an encoded word separates nobody.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from crm_activities.mail.reading.charsets import clean
from crm_activities.mail.reading.words import decode_words

MOST_ADDRESSES: Final = 500
"""The most parties that an activity can have."""
LONGEST_ADDRESS: Final = 320
_BAD: Final = re.compile(r"[\s<>(),;:\\\"\x00-\x1f\x7f]")
_BLANK: Final = re.compile(r"\s+")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox and the name that was written with it; empty if there was none."""

    name: str
    address: str


@dataclass(slots=True)
class _Element:
    """One element of a list while it is read."""

    words: str = ""
    angle: str | None = None
    comment: str = ""
    quoted: bool = False


def addresses_of(text: str, warnings: list[str]) -> tuple[Address, ...]:
    """Return the mailboxes of a list: groups are opened, semicolons separate like commas, elements without an address go.

    A name that was cut at its comma (`Doe, John <j@example.com>`) is put together again.
    """
    found: list[Address] = []
    before = ""
    for element in _elements(text):
        address = _mailbox(element)
        name = _name(element.words if element.angle is not None else element.comment, warnings)
        if address is None:
            if _name(element.words, warnings) or element.angle:
                warnings.append("an address could not be read")
            before = _name(element.words, warnings) if element.angle is None and not element.quoted else ""
            continue
        if before and element.angle is not None and name and not element.quoted:
            name = f"{before}, {name}"
        before = ""
        found.append(Address(name[:200], address))
        if len(found) == MOST_ADDRESSES:
            warnings.append(f"more than {MOST_ADDRESSES} addresses")
            break
    return tuple(found)


def normal_address(text: str) -> str | None:
    """Return a mailbox with its domain in lower case; None if it is none."""
    local, at, domain = text.strip().strip("<>").strip().rpartition("@")
    if len(local) > 2 and local[0] == local[-1] == '"' and not _BAD.search(local[1:-1].replace(" ", "")):
        local = local if " " in local else local[1:-1]
    elif _BAD.search(local):
        return None
    literal = domain.startswith("[") and domain.endswith("]")
    if not (local and at and domain) or len(text) > LONGEST_ADDRESS or (not literal and _BAD.search(domain)):
        return None
    return clean(f"{local}@{domain.lower().rstrip('.')}") if domain.strip(".") else None


def _mailbox(element: _Element) -> str | None:
    if element.angle is not None:
        # A source route (RFC 5322 4.4) stands before the mailbox.
        angle = element.angle.strip()
        return normal_address(angle.rpartition(":")[2] if angle.startswith("@") else angle)
    return normal_address(element.words)


def _name(text: str, warnings: list[str]) -> str:
    return _BLANK.sub(" ", clean(decode_words(text, warnings))).strip().strip("'\"").strip()


def _elements(text: str) -> Iterator[_Element]:
    element, at, size = _Element(), 0, len(text)
    while at < size:
        char = text[at]
        if char == '"':
            content, at = _quoted(text, at)
            bare = at < size and text[at] == "@"
            element.words += f'"{content}"' if bare else content
            element.quoted = True
            continue
        if char == "(":
            content, at = _comment(text, at)
            element.comment = element.comment or content
            continue
        if char == "<":
            close = text.find(">", at)
            close = size if close < 0 else close
            element.angle = text[at + 1 : close] if element.angle is None else element.angle
            at = close + 1
            continue
        if char == "[" and "]" in text[at : at + 100]:
            close = text.index("]", at)
            element.words += text[at : close + 1]
            at = close + 1
            continue
        if char in ",;":
            yield element
            element = _Element()
        elif char == ":" and element.angle is None and "@" not in element.words:
            # The name of a group, or `mailto:`.
            element = _Element()
        else:
            element.words += char
        at += 1
    yield element


def _quoted(text: str, at: int) -> tuple[str, int]:
    end = at + 1
    while end < len(text) and text[end] != '"':
        end += 2 if text[end] == "\\" else 1
    return _ESCAPE.sub(r"\1", text[at + 1 : end]), end + 1


def _comment(text: str, at: int) -> tuple[str, int]:
    depth, end = 0, at
    while end < len(text):
        char = text[end]
        depth += (char == "(") - (char == ")")
        end += 2 if char == "\\" else 1
        if depth == 0:
            break
    return _ESCAPE.sub(r"\1", text[at + 1 : end].removesuffix(")")), end
