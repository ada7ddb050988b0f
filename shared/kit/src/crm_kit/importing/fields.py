"""The fields that the columns of a file can feed, as the schema of an entity's create describes them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel

from crm_contracts.countries import COUNTRIES
from crm_contracts.money import EXPONENTS

_LIKE_A_NUMBER: Final = ("1",)
_UNLIKE_A_NUMBER: Final = ("x", "(1)", "1-1", "1 1")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field takes."""

    name: str = "text"
    """``text``, ``boolean``, ``integer``, ``number``, ``decimal`` (a number as text), ``date``, ``moment`` (an instant or a day),
    ``url``, ``country``, ``currency``, ``enum``, ``array``, ``money`` or ``object``."""
    options: tuple[str, ...] = ()
    """The values of an enum."""
    parts: Mapping[str, "Kind"] = field(default_factory=dict)
    """The members of an object."""
    required: frozenset[str] = frozenset()
    """The members that an object must have."""
    element: "Kind | None" = None
    """What an array has."""

    @property
    def has_parts(self) -> bool:
        """Whether columns feed its members, each by itself."""
        return bool(self.parts)


@lru_cache(maxsize=64)
def field_kinds(schema: type[BaseModel]) -> Mapping[str, Kind]:
    """Return the kind of each field of a schema, by its OpenAPI description."""
    document = schema.model_json_schema()
    return {name: _kind(described, document.get("$defs", {})) for name, described in document["properties"].items()}


def _kind(described: Mapping[str, Any], definitions: Mapping[str, Any]) -> Kind:
    for several in ("anyOf", "oneOf", "allOf"):
        if several in described:
            return _first([_kind(one, definitions) for one in described[several] if one.get("type") != "null"])
    if "$ref" in described:
        return _kind(definitions[described["$ref"].rpartition("/")[2]], definitions)
    if "enum" in described:
        return _enum(described["enum"])
    kind = described.get("type", "string")
    if isinstance(kind, list):
        kind = next(one for one in kind if one != "null")
    if kind == "object" and described.get("properties"):
        parts = {name: _kind(one, definitions) for name, one in described["properties"].items()}
        name = "money" if {"amount", "currency"} <= parts.keys() else "object"
        return Kind(name, parts=parts, required=frozenset(described.get("required", ())))
    if kind == "array":
        return Kind("array", element=_kind(described.get("items", {}), definitions))
    return _text(described) if kind == "string" else Kind(str(kind))


def _first(kinds: Sequence[Kind]) -> Kind:
    """Of the kinds of a field that takes several, the one that decides how a cell is read."""
    return Kind("moment") if {"moment", "date"} <= {one.name for one in kinds} else kinds[0]


def _enum(values: Sequence[Any]) -> Kind:
    options = tuple(str(one) for one in values if one is not None)
    if set(options) == set(COUNTRIES):
        return Kind("country")
    if set(options) == set(EXPONENTS):
        return Kind("currency")
    return Kind("enum", options)


def _text(described: Mapping[str, Any]) -> Kind:
    match described.get("format"):
        case "date":
            return Kind("date")
        case "date-time":
            return Kind("moment")
        case "uri":
            return Kind("url")
    pattern = described.get("pattern", "")
    if pattern.startswith("^https?:"):
        return Kind("url")
    return Kind("decimal") if pattern and _takes_only_numbers(pattern) else Kind()


def _takes_only_numbers(pattern: str) -> bool:
    found = re.compile(pattern)
    return all(found.search(text) for text in _LIKE_A_NUMBER) and not any(
        found.search(text) for text in _UNLIKE_A_NUMBER
    )
