"""The text of a document, and the fonts that its characters need."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Paper = Literal["a4", "letter"]

_PLACE: Final = re.compile(r"\{([a-z_]{1,20})\}")
_KANA: Final = re.compile("[\u3040-\u30ff\uff66-\uff9d]")
_HANGUL: Final = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]")

JAPANESE: Final = "HeiseiMin-W3"
KOREAN: Final = "HYSMyeongJo-Medium"
SIMPLIFIED: Final = "STSong-Light"
TRADITIONAL: Final = "MSung-Light"
"""Fonts of Adobe's character collections, which every reader of PDF knows by name."""


@dataclass(frozen=True, slots=True)
class Page:
    """The content of a document."""

    sender: str
    recipient: tuple[str, ...]
    """The lines of the address: name, street, city."""
    date: str
    subject: str
    text: str
    cover: str | None = None
    """The text of the cover page; None for no such page."""
    paper: Paper = "a4"
    wide: str = field(default=SIMPLIFIED)
    """The font of characters that the Latin one lacks."""


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders filled in. Unknown ones stay as they are."""
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), template)


def wide_font(text: str) -> str:
    """Return the font for the East Asian characters of a text, by what only one language has.

    Characters that several have are Japanese beside kana, Korean beside Hangul, and otherwise simplified or traditional Chinese
    by the character set that has all of them.
    """
    if _KANA.search(text):
        return JAPANESE
    if _HANGUL.search(text):
        return KOREAN
    others = "".join(one for one in text if ord(one) > 0x2E7F)
    return TRADITIONAL if not _fits(others, "gb2312") and _fits(others, "big5") else SIMPLIFIED


def _fits(text: str, charset: str) -> bool:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


def runs(text: str, is_plain: Callable[[str], bool]) -> Iterator[tuple[bool, str]]:
    """Return the parts of a text that the plain font has, and those that it lacks, in order."""
    held, plain = "", True
    for one in text:
        this = plain if one.isspace() else is_plain(one)
        if this != plain and held:
            yield plain, held
            held = ""
        plain, held = this, held + one
    if held:
        yield plain, held
