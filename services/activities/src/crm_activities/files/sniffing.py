"""The media type of a file, found by its first bytes and its name."""

import re
from typing import Final

HEAD: Final = 8192
"""First bytes that are looked at."""
UNKNOWN: Final = "application/octet-stream"
TEXT: Final = "text/plain"
UNTOLD: Final = frozenset({UNKNOWN, TEXT})
"""Types that say little about a file: its sender may know better."""

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")


def media_type_of(head: bytes, name: str, *, whole: bool) -> str:
    """Return the media type; ``application/octet-stream`` if it is not known. ``whole`` says that ``head`` is all of the file."""
    import puremagic  # its tables take 2 MiB, and most processes never see a file

    if head:
        try:
            found = puremagic.from_string(head, mime=True, filename=name)
        except (puremagic.PureError, ValueError):
            found = ""
        if _TYPE.fullmatch(found.lower()):
            return found.lower()
    return TEXT if _is_text(head, whole=whole) else UNKNOWN


def is_media_type(text: str) -> bool:
    """Whether a text is a media type without parameters."""
    return _TYPE.fullmatch(text) is not None


def _is_text(head: bytes, *, whole: bool) -> bool:
    if b"\0" in head or not head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The last character may be cut.
        return not whole and error.reason == "unexpected end of data"
    return True
