"""Sentences for people in their language: titles and details of problems, and messages about single values."""

from collections.abc import Mapping
from typing import Any, Final

from crm_language.catalogues import MESSAGES, catalogue
from crm_language.languages import ENGLISH

TITLE: Final = "title"
"""The context of titles, by the slug of a problem type."""
DETAIL: Final = "detail"
"""The context of details, by the slug of a problem type."""
CODE: Final = "code"
"""The context of messages, by the code of a rule."""


class Sentence(str):
    """An English sentence that knows its template and the values in it, so that it can be said in another language."""

    template: str
    given: Mapping[str, Any]

    def __new__(cls, text: str, template: str, given: Mapping[str, Any]) -> "Sentence":
        made = super().__new__(cls, text)
        made.template, made.given = template, given
        return made


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
    # pydantic joins the values that it expects by an English word.
    values = {name: value.replace(" or ", ", ") if isinstance(value, str) else value for name, value in given.items()}
    return translated.format_map(values) if values else translated
