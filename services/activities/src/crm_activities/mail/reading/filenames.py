"""Names of attached files: what a sender wrote as a name that harms no file system and no header."""

import mimetypes
import re
import unicodedata
from typing import Final

from crm_activities.mail.reading.charsets import clean

MOST_BYTES: Final = 255
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*;\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]')
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_EXTENSION: Final = re.compile(r"\.[^.\s]{1,16}$")
_KNOWN: Final = {"image/jpeg": ".jpg", "text/plain": ".txt", "text/html": ".html", "text/calendar": ".ics"}


def safe_name(name: str, content_type: str, number: int) -> str:
    """Return a name of at most 255 bytes without folders, control characters and reserved words. Its extension stays.

    A part without a name is called by its type and its number in the mail.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", clean(name)).rstrip("/\\ "))[-1]
    harmless = _UNSAFE.sub("_", last).strip(" .")
    if not harmless.strip("_"):
        return f"{content_type.partition('/')[0] or 'part'}-{number}{extension_of(content_type)}"
    if _RESERVED.match(harmless):
        harmless = f"_{harmless}"
    return shortened(harmless)


def shortened(name: str) -> str:
    """Return the name cut to 255 bytes of UTF-8. Its extension stays."""
    if len(name.encode()) <= MOST_BYTES:
        return name
    found = _EXTENSION.search(name)
    extension = found.group() if found else ""
    room = MOST_BYTES - len(extension.encode())
    return name[: len(name) - len(extension)].encode()[:room].decode(errors="ignore").rstrip(" .") + extension


def extension_of(content_type: str) -> str:
    """Return the extension that files of the type have; `.bin` for an unknown type."""
    return _KNOWN.get(content_type) or mimetypes.guess_extension(content_type, strict=False) or ".bin"
