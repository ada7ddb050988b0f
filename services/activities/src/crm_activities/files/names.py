"""Names of files: made harmless when they arrive, and written into the header of a download."""

import re
import unicodedata
from typing import Final
from urllib.parse import quote

MOST_BYTES: Final = 255
"""The most bytes of a name in UTF-8, which is what common file systems take."""
LONGEST_EXTENSION: Final = 32
"""Bytes of an extension, with its dot, that a cut keeps."""
UNNAMED: Final = "file"

_RESERVED: Final = re.compile(r"(?:CON|PRN|AUX|NUL|CLOCK\$|COM[0-9¹²³]|LPT[0-9¹²³])(?=\.|$)", re.IGNORECASE)
"""Names of devices on Windows, with any extension."""
_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')
"""Characters that Windows refuses in names, besides separators."""
_ATTRIBUTE_CHARACTERS: Final = "!#$&+-.^_`|~"
"""What RFC 8187 leaves as it is, besides letters and digits."""


def safe_name(raw: str | None) -> str:
    """Return a harmless name of one component, at most 255 bytes of UTF-8, with the extension of ``raw``.

    Folders, control characters, invisible characters that turn the direction of text, and lone surrogates are left out. Device
    names of Windows get an underscore in front.
    """
    text = unicodedata.normalize("NFC", raw or "")
    # Separators of any system: only the last component is a name.
    text = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    text = "".join(one for one in text if unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    text = _FORBIDDEN.sub("_", text).strip().rstrip(". ")
    if not text.strip("."):
        return UNNAMED
    if _RESERVED.match(text):
        text = f"_{text}"
    return _cut(text)


def _cut(name: str) -> str:
    """Return a name of at most 255 bytes that keeps its extension and ends between two characters."""
    if len(name.encode()) <= MOST_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    ending = f"{dot}{extension}" if stem else ""
    if not ending or len(ending.encode()) > LONGEST_EXTENSION:
        stem, ending = name, ""
    room = MOST_BYTES - len(ending.encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + ending


def disposition(name: str) -> str:
    """Return a Content-Disposition that saves the file under this name (RFC 6266).

    It has a name in ASCII for old programs, and the exact one in UTF-8 (RFC 8187).
    """
    plain = "".join(one if one.isascii() and one.isprintable() and one not in '"\\%' else "_" for one in name)
    exact = quote(name, safe=_ATTRIBUTE_CHARACTERS, errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"
