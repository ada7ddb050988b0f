"""Sentences for people that hold values: each knows its template, so that it can be said in another language."""

from collections.abc import Mapping
from typing import Any


class Sentence(str):
    """An English sentence that knows its template and the values in it, so that it can be said in another language."""

    template: str
    given: Mapping[str, Any]

    def __new__(cls, text: str, template: str, given: Mapping[str, Any]) -> "Sentence":
        made = super().__new__(cls, text)
        made.template, made.given = template, given
        return made


class Named(str):
    """A technical name as an English sentence writes it. ``asks`` names its label: the method of ``Labels`` and its arguments."""

    asks: tuple[str, ...]

    def __new__(cls, text: str, *asks: str) -> "Named":
        made = super().__new__(cls, text)
        made.asks = asks
        return made


class Listed(str):
    """Words in a list: `lead, contact`."""

    words: tuple[str, ...]

    def __new__(cls, *words: str) -> "Listed":
        made = super().__new__(cls, ", ".join(words))
        made.words = words
        return made


class Choice(str):
    """Words of which one is meant, as English writes them: `draft or active`."""

    words: tuple[str, ...]

    def __new__(cls, *words: str) -> "Choice":
        made = super().__new__(cls, " or ".join(words))
        made.words = words
        return made


def said(template: str, **values: Any) -> Sentence:
    """Return the sentence with its values. A value may be a sentence or a name, which other languages say in their words.

    The template is a literal that the catalogues have: a test reads it from the source.
    """
    return Sentence(template.format_map(values), template, values)


def entity_word(name: str) -> Named:
    """Return the kind of a record in the middle of a sentence: `price list item`."""
    return Named(name.replace("_", " "), "entity", name)


def right_word(name: str) -> Named:
    """Return what a privilege is on, an entity or a right; its technical name in English, because roles hold that."""
    return Named(name, "granted", name)


def status_word(entity: str, status: str) -> Named:
    """Return the status of a record in the middle of a sentence: `won`."""
    return Named(status, "option", entity, "status", status)


def field_word(entity: str, name: str) -> Named:
    """Return a field as people call it; its technical name in English, because requests hold that."""
    return Named(name, "field", entity, name)
