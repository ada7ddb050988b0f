"""The head of a message or of a part as fields, one by one: a field that cannot be read never harms the others."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from crm_activities.mail.reading.charsets import decode
from crm_activities.mail.reading.words import decode_words

_FIELD: Final = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_BLANK: Final = re.compile(r"\s+")
_LINE: Final = re.compile(rb"\r\n|\n|\r(?!\n)")
_ADDRESSED: Final = ("to", "cc", "bcc", "from", "sender", "reply-to")
_BROKEN: Final = frozenset(
    (*_ADDRESSED, "references", "in-reply-to", "message-id", "content-type", "content-disposition")
)
"""Fields whose next line belongs to them even if it is not indented and no field."""
MOST_FIELDS: Final = 2000
LONGEST_FIELD: Final = 256 * 1024
"""Bytes of a field. What is beyond is left out, with a warning."""


@dataclass(frozen=True, slots=True)
class Headers:
    """The fields of a head in their order, with lower-cased names. Values are unfolded and not decoded."""

    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> Iterator[str]:
        """The values of every field of this name."""
        return (value for field, value in self.fields if field == name)

    def first(self, name: str) -> str:
        """The first value that is not empty; empty without one."""
        return next((value for value in self.all(name) if value), "")

    def text(self, name: str, warnings: list[str]) -> str:
        """A field of free text, decoded, on one line."""
        return _BLANK.sub(" ", decode_words(self.first(name), warnings)).strip()


def split_head(data: bytes, start: int, end: int, warnings: list[str]) -> tuple[Headers, int]:
    """Read the head that begins at ``start``. Returns the fields, and where the body begins."""
    fields: list[tuple[str, bytearray]] = []
    at = start
    while at < end:
        mark = _LINE.search(data, at, end)
        line_end, following = (mark.start(), mark.end()) if mark else (end, end)
        line = data[at:line_end]
        if not line.strip():
            # Some programs write a line of blanks between fields, which still ends the head.
            at = following
            break
        named = _FIELD.match(line)
        if line[:1] in b" \t" and fields:
            _extend(fields[-1][1], b" " + line.strip(), warnings)
        elif at == start and line.startswith((b"From ", b">From ")):
            pass
        elif named and len(fields) < MOST_FIELDS:
            name = named.group(1).decode("ascii").lower()
            fields.append((name, bytearray(line[named.end() :].strip()[:LONGEST_FIELD])))
        elif named:
            warnings.append("too many fields in the head")
            at = _end_of_head(data, at, end)
            break
        elif fields and fields[-1][0] in _BROKEN and not line.startswith(b"--"):
            warnings.append(f"line break inside {fields[-1][0]}")
            _extend(fields[-1][1], line.strip(), warnings)
        else:
            if fields or at != start:
                warnings.append("the head ends without an empty line")
            break
        at = following
    return Headers(tuple((name, _text_of(bytes(value), name, warnings)) for name, value in fields)), at


def _extend(value: bytearray, more: bytes, warnings: list[str]) -> None:
    if len(value) + len(more) > LONGEST_FIELD:
        warnings.append("a field is too long")
    else:
        value += more


def _end_of_head(data: bytes, at: int, end: int) -> int:
    found = re.compile(rb"\r?\n[ \t]*\r?\n").search(data, at, end)
    return found.end() if found else end


def _text_of(value: bytes, name: str, warnings: list[str]) -> str:
    if value.isascii() and b"\x1b" not in value:
        return value.replace(b"\0", b"").decode("ascii")
    text, guessed = decode(value, None)
    if guessed and "utf-8" not in guessed:
        warnings.append(f"{name}: {guessed}")
    return text
