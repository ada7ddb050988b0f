"""The catalogues: gettext's `.po` files, one of each domain per language, read once per process."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from babel.messages.pofile import read_po

Key = tuple[str, str]
"""The context and the id of a message."""

LABELS: Final = "labels"
"""Names of entities, fields, options, states and commands. Its ids are the technical names, in English, too."""
MESSAGES: Final = "messages"
"""Sentences. Its ids are the English sentences, or a code where the context says so."""


@cache
def catalogue(domain: str, language: str) -> Mapping[Key, str]:
    """Return the translations of a domain in a language; none for a domain that needs none in it."""
    source = files("crm_language") / "catalogues" / language / f"{domain}.po"
    if not source.is_file():
        return {}
    with source.open("rb") as opened:
        read = read_po(opened, ignore_obsolete=True)
    return {
        (one.context or "", str(one.id)): str(one.string) for one in read if one.id and one.string and not one.fuzzy
    }
