"""What the text of a cell becomes, by the kind of its field and the formats of its file."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from crm_kit.importing.fields import Kind
from crm_kit.importing.formats import Formats, Unread
from crm_language.labels import Labels
from crm_language.languages import LANGUAGES as LABELLED

MOST_PARTS: Final = 1000
"""The most elements of a list in a cell."""
TRUE: Final = frozenset({"true", "yes", "y", "1", "x", "ja", "j", "wahr", "はい", "是", "真"})
FALSE: Final = frozenset({"false", "no", "n", "0", "nein", "falsch", "いいえ", "否", "不是", "偽", "假"})
WHOLE: Final = re.compile(r"-?\d{1,18}", re.ASCII)
NUMBER: Final = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_HOST: Final = re.compile(r"(?:[\w-]{1,63}\.)+[^\W\d_]{2,63}(?::\d{1,5})?(?:[/?#]\S*)?")
LANGUAGES: Final = ("en", "de", "ja", "zh_Hans", "zh_Hant")
"""The languages in which a cell may name a country."""
_ALSO: Final = {
    "united states of america": "US",
    "great britain": "GB",
    "czech republic": "CZ",
    "turkey": "TR",
    "holland": "NL",
    "russian federation": "RU",
    "republic of korea": "KR",
    "korea": "KR",
    "viet nam": "VN",
    "hong kong": "HK",
    "macau": "MO",
    "香港": "HK",
    "澳门": "MO",
    "澳門": "MO",
}
"""Names that are common beside those of the Unicode CLDR."""

WRONG: Final[Mapping[str, str]] = dict.fromkeys(
    ("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#GETTING_DATA"),
    "The cell has an error of the spreadsheet. Correct its formula, and save the file again.",
) | {
    "#NO-RESULT!": "The formula has no stored result. Open the workbook in Excel, and save it again.",
    "#DIGITS!": "The number has more digits than a spreadsheet keeps. Format the column as text, and enter it again.",
}
"""Texts of cells that are no values, each with what to do. The last two are those of ``crm_kit.importing.workbook_child``."""

Convert = Callable[[str], Any]


def conversion(kind: Kind, formats: Formats, entity: str = "", field: str = "") -> Convert:
    """Return the function that reads a cell of this kind. It raises Unread for a text in a form that the file does not have.

    ``entity`` and ``field`` lead to the labels of the values of an enum.

    It returns other texts that the field does not take unchanged, so that the schema reports them.
    """
    match kind.name:
        case "boolean":
            return _boolean
        case "integer":
            return lambda text: _whole(text, formats)
        case "number":
            return lambda text: _number(text, formats)
        case "decimal":
            return formats.plain
        case "date":
            return formats.day
        case "moment":
            return lambda text: _moment(text, formats)
        case "url":
            return _url
        case "country":
            return _country
        case "currency":
            return lambda text: text.strip().upper()
        case "enum":
            options = {_word(one): one for one in kind.options}
            return lambda text: _option(text, options, entity, field)
        case "array":
            element = str.strip if kind.element is None else conversion(kind.element, formats, entity, field)
            return lambda text: _array(text, element)
    return str


def _word(text: str) -> str:
    """Return a text by which words of a list are compared: `In progress` is `in_progress`."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", text).strip().casefold())


def _option(text: str, options: Mapping[str, str], entity: str, field: str) -> str:
    """Return the value of an enum by its name or by its label in any language; another text unchanged."""
    word = _word(text)
    return options.get(word) or _labelled(entity, field, tuple(options.values())).get(word) or text.strip()


@lru_cache(maxsize=256)
def _labelled(entity: str, field: str, options: tuple[str, ...]) -> Mapping[str, str]:
    """The values of an enum by label. A label that two values have names neither."""
    found: dict[str, set[str]] = {}
    for language in LABELLED:
        labels = Labels(language)
        for option in options:
            found.setdefault(_word(labels.option(entity, field, option)), set()).add(option)
    return {word: next(iter(named)) for word, named in found.items() if len(named) == 1}


def _boolean(text: str) -> Any:
    word = unicodedata.normalize("NFKC", text).strip().casefold()
    return True if word in TRUE else False if word in FALSE else text


def _whole(text: str, formats: Formats) -> Any:
    plain = formats.plain(text)
    return int(plain) if WHOLE.fullmatch(plain) else plain


def _number(text: str, formats: Formats) -> Any:
    # A column of percentages shows 19 %.
    plain = formats.plain(text.strip().removesuffix("%"))
    return float(plain) if NUMBER.fullmatch(plain) else plain


def _moment(text: str, formats: Formats) -> str:
    """An instant has one form in every file. A day has that of this file."""
    return formats.moment(text) if "T" in text or ":" in text else formats.day(text)


def _url(text: str) -> str:
    stripped = text.strip()
    return f"https://{stripped}" if _HOST.fullmatch(stripped) else stripped


def _array(text: str, element: Convert) -> Any:
    pieces = text.split(";", MOST_PARTS)
    return text if len(pieces) > MOST_PARTS else [element(part) for piece in pieces if (part := piece.strip())]


def _country(text: str) -> str:
    found = _countries().get(_word(text).replace(".", ""))
    if found is None:
        raise Unread(
            "country", "Send a country by its ISO 3166-1 code, or by its name in English, German, Japanese or Chinese."
        )
    return found


@lru_cache(maxsize=1)
def _countries() -> Mapping[str, str]:
    """The codes of countries by name and by code of two and three letters."""
    # Imported here, so that only processes that read a country load the names.
    from babel import Locale
    from babel.core import get_global

    from crm_contracts.countries import COUNTRIES

    found = {_word(name): code for name, code in _ALSO.items()}
    for old, new in get_global("territory_aliases").items():
        if len(new) == 1 and new[0] in COUNTRIES:
            found[_word(old)] = new[0]
    for language in LANGUAGES:
        found |= {_word(name): code for code, name in Locale.parse(language).territories.items() if code in COUNTRIES}
    return found | {_word(code): code for code in COUNTRIES}
