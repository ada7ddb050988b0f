"""Sentences for people in their language: titles and details of problems, and messages about single values."""

from typing import Any, Final

from crm_contracts.sentences import Choice, Listed, Named, Sentence
from crm_language.catalogues import MESSAGES, catalogue
from crm_language.labels import Labels
from crm_language.languages import ENGLISH

TITLE: Final = "title"
"""The context of titles, by the slug of a problem type."""
DETAIL: Final = "detail"
"""The context of details, by the slug of a problem type."""
CODE: Final = "code"
"""The context of messages, by the code of a rule."""


JOINED: Final = {"expected", "expected_tags"}
"""The values that pydantic joins."""
SEPARATORS: Final = {"ja": "、", "zh-Hans": "、", "zh-Hant": "、"}
"""What stands between words in a list."""


class Translated(str):
    """A sentence that is in the reader's language already, because another service said it."""


def title_of(slug: str, language: str) -> str:
    """Return the title of a problem type; in English it is the slug in words."""
    return catalogue(MESSAGES, language).get((TITLE, slug)) or slug.replace("-", " ").capitalize()


def detail_of(slug: str, detail: str, language: str) -> str:
    """Return the detail of a problem: the sentence itself if it is translated, else what its type means."""
    return _said(detail, language) or catalogue(MESSAGES, language).get((DETAIL, slug)) or detail


def message_of(code: str, message: str, slug: str, language: str) -> str:
    """Return the message about a value: the sentence if it is translated, else what its code or the problem's type means."""
    if (found := _said(message, language)) is not None:
        return found
    known = catalogue(MESSAGES, language)
    for key in ((CODE, code), (DETAIL, code), (DETAIL, slug)):
        if key in known:
            return known[key]
    return message


def _said(sentence: str, language: str) -> str | None:
    if language == ENGLISH or isinstance(sentence, Translated):
        return sentence
    template, given = (sentence.template, sentence.given) if isinstance(sentence, Sentence) else (sentence, {})
    translated = catalogue(MESSAGES, language).get(("", template))
    if translated is None:
        return None
    values = {name: _word(value, language) for name, value in given.items()}
    # pydantic joins the values that it expects by an English word.
    for name in JOINED & values.keys():
        values[name] = str(values[name]).replace(" or ", ", ")
    return translated.format_map(values)


def _word(value: Any, language: str) -> Any:
    """Return a value as the language says it: sentences and names within it, too. Numbers and texts stay as they are."""
    match value:
        case Sentence():
            return _said(value, language) or value
        case Named():
            labels = Labels(language)
            label = getattr(labels, value.asks[0])(*value.asks[1:])
            return value if labels.missing else label
        case Choice() | Listed():
            return SEPARATORS[language].join(str(_word(one, language)) for one in value.words)
        case _:
            return value
