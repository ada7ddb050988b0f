"""Names of the files of a mail."""

import mimetypes
from typing import Final

from crm_activities.files.names import UNNAMED, safe_name
from crm_activities.mail.reading.charsets import REPLACEMENT

_KNOWN: Final = {
    "image/jpeg": ".jpg",
    "message/rfc822": ".eml",
    "text/calendar": ".ics",
    "text/html": ".html",
    "text/plain": ".txt",
}


def file_name(name: str, content_type: str, number: int) -> str:
    """Return a harmless name. A part without a name is called by its type and its number in the mail."""
    safe = safe_name(name)
    if safe == UNNAMED or not safe.strip(f"_{REPLACEMENT}"):
        return safe_name(f"{content_type.partition('/')[0] or 'part'}-{number}{extension_of(content_type)}")
    return safe


def extension_of(content_type: str) -> str:
    """Return the extension that files of the type have; `.bin` for an unknown type."""
    return _KNOWN.get(content_type) or mimetypes.guess_extension(content_type, strict=False) or ".bin"
