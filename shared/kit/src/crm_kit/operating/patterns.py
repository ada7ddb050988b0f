"""Patterns of a topic exchange: ``*`` stands for one word of a routing key, ``#`` for any number of words."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby


def matches(pattern: str, routing_key: str) -> bool:
    """Whether a pattern matches a routing key."""
    return _matches(pattern.split("."), routing_key.split("."))


def _matches(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_matches(pattern[1:], words[count:]) for count in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _matches(pattern[1:], words[1:])


def covers(wide: str, pattern: str) -> bool:
    """Whether ``wide`` matches every key that ``pattern`` matches. It may say no of a pattern that is written differently."""
    return re.fullmatch(expression(wide), pattern) is not None


def permitted(patterns: Iterable[str], *, prefix: str = "") -> str:
    """Return the regular expression of a topic permission for these patterns and all narrower ones.

    RabbitMQ compares it with the key of a binding, which may be a pattern. ``prefix`` is a literal beginning of the keys.
    """
    parts = [f"{re.escape(prefix)}{expression(pattern)}" for pattern in patterns]
    return f"^({'|'.join(parts)})$" if parts else "^$"


def expression(pattern: str) -> str:
    """Return a regular expression for the keys, and the patterns, that a pattern covers."""
    words = [word for word, group in groupby(pattern.split(".")) for _ in (range(1) if word == "#" else group)]
    if words == ["#"]:
        return ".*"
    begins_open = words[0] == "#"
    first, *rest = words[1:] if begins_open else words
    found = (r"([^.]+\.)*" if begins_open else "") + _word(first)
    return found + "".join(r"(\.[^.]+)*" if word == "#" else rf"\.{_word(word)}" for word in rest)


def _word(word: str) -> str:
    return "[^.#]+" if word == "*" else re.escape(word)
