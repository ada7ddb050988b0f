"""Encoded words of headers (RFC 2047)."""

import binascii
import re
from typing import Final

from crm_activities.mail.reading.charsets import decode

_WORD: Final = re.compile(r"=\?([^?\s]{0,60})\?([bBqQ])\?([^?]*(?:\?(?!=)[^?]*)*)\?=")
_ALPHABET: Final = re.compile(rb"[^A-Za-z0-9+/]")


def from_base64(data: bytes) -> tuple[bytes, bool]:
    """Return the bytes of base64, and whether it was damaged. Foreign characters are skipped and missing padding is added."""
    letters = _ALPHABET.sub(b"", data.rstrip(b"= \t\r\n"))
    damaged = len(letters) % 4 == 1
    if damaged:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4)), damaged


def decode_words(text: str, warnings: list[str]) -> str:
    """Return the text with its encoded words decoded.

    The bytes of neighbouring words with one charset are joined before they are decoded, because many programs cut inside a
    character.
    """
    out: list[str] = []
    at, pending, label = 0, b"", ""
    for word in _WORD.finditer(text):
        between = text[at : word.start()]
        charset = word.group(1).partition("*")[0]
        joined = bool(label) and not between.strip()
        if label and not (joined and charset.lower() == label.lower()):
            out.append(_decoded(pending, label, warnings))
            pending = b""
        if not joined:
            out.append(between)
        pending += _bytes_of(word.group(2), word.group(3), warnings)
        label, at = charset or "none", word.end()
    if label:
        out.append(_decoded(pending, label, warnings))
    out.append(text[at:])
    return "".join(out)


def _decoded(data: bytes, label: str, warnings: list[str]) -> str:
    text, warning = decode(data, label)
    if warning:
        warnings.append(warning)
    return text


def _bytes_of(encoding: str, payload: str, warnings: list[str]) -> bytes:
    data = payload.encode("utf-8", "replace")
    if encoding in "bB":
        found, damaged = from_base64(data)
        if damaged:
            warnings.append("damaged base64 in a header")
        return found
    return binascii.a2b_qp(data.replace(b" ", b"_"), header=True)
