"""Texts in one line and in several, and the sentences that describe the form of a text."""

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .marks import CONSUMING, STORED

FORMS: Final[dict[str, str]] = {}
"""Sentences that describe the required form of a text, by pattern."""


def form(pattern: str, sentence: str) -> str:
    """Register the sentence for texts that do not match a pattern, and return the pattern."""
    FORMS[pattern] = sentence
    return pattern


# Trimmed text needs a character that is not white space, and texts of PostgreSQL cannot contain U+0000. The pattern shows both.
_SAYS_SOMETHING: Final = form(
    r"^[^\u0000]*[^\u0000\s][^\u0000]*$", "Send text with at least one visible character and without U+0000."
)

_UNSEEN: Final = (
    r"\s\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)
"""White space, control characters, and characters that only join, separate or direct others."""
VISIBLE: Final = form(
    rf"^[^\u0000]*[^{_UNSEEN}][^\u0000]*$", "Send text with at least one visible character and without U+0000."
)
_SEEN: Final = re.compile(f"[^{_UNSEEN}]")

_BREAKS: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
"""Control characters (C0, DEL, C1) and separators of lines and paragraphs."""
ONE_LINE: Final = form(
    rf"^\s*[^{_BREAKS}]*[^{_UNSEEN}][^{_BREAKS}]*\s*$",
    "Write this in one line: leave out line breaks, tabs and other control characters.",
)
_BREAK: Final = re.compile(f"[{_BREAKS}]")


def composed(text: str) -> str:
    """Return a text in Unicode's form NFC, in which texts are stored and compared. It combines letters with their accents."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class TextMark:
    """Reads text in NFC, and refuses text without a visible character, and with `in_one_line` control characters, too. Consumed
    events and stored records keep it, because another release has accepted it.

    Characters that only join others stay allowed inside: Khmer and Persian words and emoji need U+200B to U+200D."""

    def __init__(self, *, in_one_line: bool = False) -> None:
        self._in_one_line = in_one_line

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_wrap_validator_function(self._read, handler(source))

    def _read(self, value: Any, inner: Callable[[Any], str], info: core_schema.ValidationInfo) -> str:
        text = inner(composed(value) if isinstance(value, str) else value)
        context = info.context or {}
        if context.get(CONSUMING) or context.get(STORED):
            return text
        if not _SEEN.search(text):
            raise PydanticCustomError("invisible", "{sentence}", {"sentence": FORMS[VISIBLE]})
        if self._in_one_line and _BREAK.search(text):
            raise PydanticCustomError("control-characters", "{sentence}", {"sentence": FORMS[ONE_LINE]})
        return text

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        known = handler(schema)
        if handler.mode == "validation":
            known["pattern"] = ONE_LINE if self._in_one_line else VISIBLE
        return known


LONG_TEXT: Final = 32_000
"""The most characters of a long text."""

ShortText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_SAYS_SOMETHING),
    TextMark(in_one_line=True),
]
"""Text in one line, in NFC, trimmed, 1 to 200 characters with a visible one among them, without control characters."""

LongText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONG_TEXT, pattern=_SAYS_SOMETHING),
    TextMark(),
]
"""Text in NFC, trimmed, 1 to 32,000 characters with a visible one among them, without U+0000."""

EntityName = Annotated[
    str,
    StringConstraints(
        pattern=form(
            r"^[a-z][a-z_]{0,49}$", "Write the name of a kind of record, in small letters with underscores: lead."
        )
    ),
]
"""The singular snake_case name of an entity, such as `lead`."""
