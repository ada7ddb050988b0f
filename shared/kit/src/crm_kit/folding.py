"""One normalisation of text that people search for, shared by ``q``, the filters on texts, and the search for duplicates.

Python folds what is typed and SQL folds what is stored (``crm_kit.store.searching``). Both are made of the tables of this
module, and a test compares them for every character of Unicode. The result has no case, no accents, no width, and one kind of
kana, apostrophe and dash. Letters that Unicode does not decompose (``ł``, ``ø``, ``đ``) become those that people type for them.
"""

import re
import unicodedata
from typing import Final

DROPPED: Final = (
    # Accents of letters, and vowel marks of Hebrew and Arabic, which are rarely typed.
    r"\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    r"\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    # Characters without a shape of their own.
    r"\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"
)
"""Characters that the folded text does not have, as the inside of a bracket of a regular expression in Python and PostgreSQL."""

_LETTERS: Final = (
    ("łƚđðɖɗƌøɵɔħŧƭʈıɨʉƀɓƒɠǥƙŋɲƥɍʋƴɏƶȥəɛςґیک", "lldddddooohtttiiubbfggknnprvyyzzeeσгيك"),
    ("‘’‛′ʹʻʼʽˈꞌ՚׳`", "'" * 13),
    ("“”„‟«»", '"' * 6),
    ("‐‑‒–—―−⁃﹘", "-" * 9),
    ("".join(map(chr, range(0x3041, 0x3097))), "".join(map(chr, range(0x30A1, 0x30F7)))),
    ("ゝゞ", "ヽヾ"),
)
SINGLE: Final = ("".join(one for one, _ in _LETTERS), "".join(other for _, other in _LETTERS))
"""Characters, and the character that each becomes."""
SEVERAL: Final = {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}
"""Characters that become two."""
ACUTE: Final = "´"
"""It is typed as an apostrophe. Unicode takes it for a space with an accent."""

SEPARATORS: Final = "-'@./_+,;:()&\"\\|<>[]\t\n\r・、。"
"""Characters between words. A search takes them all for a space."""
UNSPACED: Final = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts that write names or sentences without spaces, so that a word may begin at each of their characters."""

MOST_WORDS: Final = 8
SHORT: Final = 2
"""The most characters of a word that is looked for at the beginning of words only, because an index of trigrams has no shorter
pieces."""
LEAST_DIGITS: Final = 5
"""The fewest digits that are taken for a fragment of a telephone number."""

CASED: Final = (
    (0xC0, 0x590), (0x10A0, 0x1100), (0x13A0, 0x13FE), (0x1C89, 0x1CC0), (0x1E00, 0x2000), (0x2100, 0x2190), (0x2C00, 0x2E00),
    (0xA640, 0xA7FF), (0x10400, 0x105C0), (0x10C80, 0x10CC0), (0x10D50, 0x10D66), (0x118A0, 0x118C0), (0x16E40, 0x16EC0),
    (0x1E900, 0x1E922),
)  # fmt: skip
"""The blocks of Unicode that have capital letters, each with the code point after it."""
USUAL_CAPITALS: Final = (0x370, 0x530)
"""The block of Greek and Cyrillic letters, which nearly all capitals outside ASCII are when they have no accent."""

_TABLE: Final = str.maketrans(dict(zip(*SINGLE, strict=True)) | SEVERAL)
_SPACES: Final = str.maketrans(SEPARATORS, " " * len(SEPARATORS))
_DROPPED: Final = re.compile(f"[{DROPPED}]+")
_DIALLED: Final = re.compile(r"[0-9()+./-]+", re.ASCII)
_NUMBER: Final = re.compile(r"([a-z]{2,6})[ -]?0*([0-9]{1,9})", re.ASCII)

Pattern = str
"""A pattern of LIKE."""
Word = tuple[tuple[Pattern, ...], ...]
"""The ways in which a text can contain a word: one of them holds if all of its patterns match."""


def folded(text: str) -> str:
    """Return the text as it is compared: ``Müller`` and ``MULLER`` are ``muller``, ``さくら`` is ``サクラ``."""
    if text.isascii():
        return text.lower().replace("`", "'")
    apart = _DROPPED.sub("", unicodedata.normalize("NFKD", text.replace(ACUTE, "'")))
    return unicodedata.normalize("NFKC", apart).lower().translate(_TABLE)


def capitals() -> dict[str, str]:
    """Return the capital letters outside ASCII that a text can have without accents, each with its small letter."""
    letters = (chr(code) for begin, end in CASED for code in range(begin, end))
    plain = (one for one in letters if _DROPPED.sub("", unicodedata.normalize("NFKD", one)) == one)
    return {one: one.lower() for one in plain if one.lower() != one and len(one.lower()) == 1}


def spaced(text: str) -> str:
    """Return a folded text with spaces for its separators, as a stored text is searched."""
    return text.translate(_SPACES)


def words_of(q: str) -> list[Word]:
    """Return the words of a search, of which a text must contain each; at most eight. Empty if there is nothing to look for.

    Several words of digits may be one telephone number, in national or international form.
    """
    found: list[Word] = []
    dialled: list[str] = []
    for word in [*folded(q).split(), ""]:
        if word and _DIALLED.fullmatch(word):
            dialled.append(word)
            continue
        found += _dialled(dialled)
        dialled = []
        if patterns := _patterns(word):
            found.append(patterns)
    return found[:MOST_WORDS]


def digits_of(phone: str) -> str:
    """Return the digits of a telephone number that its international form has, too: without ``+``, ``00``, and the national 0."""
    return re.sub("[^0-9]", "", phone.replace("(0)", "")).lstrip("0")


def number_of(text: str) -> str | None:
    """Return the readable number that a text stands for: ``lea-1`` is ``LEA-00001``. None if it looks different."""
    match = _NUMBER.fullmatch(folded(text.strip()))
    return f"{match[1].upper()}-{match[2]:0>5}" if match else None


def within(text: str) -> Pattern:
    """Return the pattern of a searchable text that contains this text."""
    return f"%{_escaped(spaced(folded(text)))}%"


def at_beginning(text: str) -> Pattern:
    """Return the pattern of a searchable text in which a word begins with this text."""
    return f"% {_escaped(spaced(folded(text)))}%"


def _dialled(group: list[str]) -> list[Word]:
    if not group:
        return []
    apart = [patterns for word in group if (patterns := _patterns(word))]
    digits = digits_of("".join(group))
    if len(digits) < LEAST_DIGITS or group == [digits]:
        return apart
    # A telephone number, or several words that happen to be of digits.
    several = tuple(pattern for patterns in apart for pattern in patterns[0])
    return [((f"%{digits}%",), several)]


def _patterns(word: str) -> Word:
    text = spaced(word).strip()
    if not text:
        return ()
    is_short = len(text) <= SHORT and any(map(str.isalnum, text))
    usual = ((f"% {_escaped(text)}%" if is_short else f"%{_escaped(text)}%"),)
    if (number := number_of(word)) and not is_short:
        return (usual, (f"% {spaced(number.lower())}%",))
    return (usual,)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
