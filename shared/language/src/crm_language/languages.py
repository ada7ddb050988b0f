"""The languages, and which of them a request asks for (RFC 9110 §12.5.4, RFC 4647 §3.4)."""

import re
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "ja", "zh-Hans", "zh-Hant")
"""BCP 47 tags of the languages for which everything is translated."""

LANGUAGE: ContextVar[str] = ContextVar("language", default=ENGLISH)
"""The language of the request that is being answered."""

_TRADITIONAL: Final = frozenset({"hant", "tw", "hk", "mo"})
_WEIGHT: Final = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", re.IGNORECASE)
_LONGEST: Final = 200
"""Characters of an Accept-Language that are looked at."""


def language_of(accepted: str) -> str:
    """Return the language that an Accept-Language asks for; English if it asks for none of ours."""
    return _chosen(accepted[:_LONGEST])


@lru_cache(maxsize=256)
def _chosen(accepted: str) -> str:
    # Sorting keeps the order of ranges with the same weight.
    for _, tag in sorted(_weighted(accepted), key=lambda one: -one[0]):
        if (found := _ours(tag)) is not None:
            return found
    return ENGLISH


def _weighted(accepted: str) -> Iterator[tuple[float, str]]:
    for part in accepted.split(","):
        tag, _, parameter = part.partition(";")
        weight = _WEIGHT.fullmatch(parameter)
        quality = float(weight[1]) if weight else 0.0 if parameter.strip() else 1.0
        if tag.strip() and quality > 0:
            yield quality, tag.strip().lower()


def _ours(tag: str) -> str | None:
    """Return our language for a range. `zh-TW` and `zh-HK` are in traditional characters, other `zh` in simplified ones."""
    parts = tag.replace("_", "-").split("-")
    match parts[0]:
        case "*" | "en":
            return ENGLISH
        case "ja":
            return "ja"
        case "zh" | "cmn" | "yue":
            if "hans" in parts:
                return "zh-Hans"
            return "zh-Hant" if _TRADITIONAL & set(parts[1:]) or parts[0] == "yue" else "zh-Hans"
    return None
