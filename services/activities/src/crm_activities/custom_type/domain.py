"""Types of custom activities: the state machine, and which schemas are accepted. Nothing here reads or writes."""

from collections.abc import Iterator
from typing import Any, Final

from crm_kit.errors import DomainError, FieldError
from crm_kit.lifecycle import Lifecycle

LIFECYCLE = Lifecycle(
    "draft/draft",
    {
        "publish": ({"draft/draft", "active/active"}, "open/*"),
        "activate": ({"draft/draft", "retired/retired"}, "active/active"),
        "retire": ({"active/active"}, "retired/retired"),
    },
)

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MOST_LEVELS: Final = 8
"""Schemas in schemas."""
MOST_SCHEMAS: Final = 200
"""Schemas within one schema, itself included."""
MOST_PATTERNS: Final = 20
LONGEST_PATTERN: Final = 200
MOST_OPTIONS: Final = 500
"""Values of one `enum`."""

_NAMED: Final = frozenset({"properties"})
_LISTED: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLE: Final = frozenset({"additionalProperties", "items", "contains", "propertyNames", "not", "if", "then", "else"})
_PLAIN: Final = frozenset(
    {
        *("$schema", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("required", "dependentRequired", "minProperties", "maxProperties"),
        *("minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
        "x-labels",
    }
)
KEYWORDS: Final = _NAMED | _LISTED | _SINGLE | _PLAIN
"""The keywords of a schema. References are not among them: a chain of references can grow without bound."""


def pointer_to(*steps: Any) -> str:
    """Return a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def require_shape(schema: dict[str, Any], pointer: str = "/values_schema") -> None:
    """Raise 422 ``invalid-schema`` with a pointer unless a schema is of an object, without references, and within the limits."""
    seen = patterns = 0
    for path, part, level in _schemas(schema, (), 1):
        seen += 1
        place = pointer + pointer_to(*path)
        if level > MOST_LEVELS:
            raise refused(place, f"Nest schemas at most {MOST_LEVELS} levels deep.")
        if seen > MOST_SCHEMAS:
            raise refused(place, f"Use at most {MOST_SCHEMAS} properties and other parts of schemas.")
        if isinstance(part, bool):
            continue
        if not isinstance(part, dict):
            raise refused(place, "Send a schema here: an object, true or false.")
        patterns += "pattern" in part
        if patterns > MOST_PATTERNS:
            raise refused(place + "/pattern", f"Use at most {MOST_PATTERNS} patterns.")
        _require_keywords(part, place)
    if schema.get("type") != "object":
        raise refused(pointer + "/type", 'Say `"type": "object"`: the values of an activity are an object.')


def _schemas(part: Any, path: tuple[Any, ...], level: int) -> Iterator[tuple[tuple[Any, ...], Any, int]]:
    yield path, part, level
    if not isinstance(part, dict) or level > MOST_LEVELS:
        return
    for keyword, value in part.items():
        if keyword in _NAMED and isinstance(value, dict):
            for name, one in value.items():
                yield from _schemas(one, (*path, keyword, name), level + 1)
        elif keyword in _LISTED and isinstance(value, list):
            for position, one in enumerate(value):
                yield from _schemas(one, (*path, keyword, position), level + 1)
        elif keyword in _SINGLE:
            yield from _schemas(value, (*path, keyword), level + 1)


def _require_keywords(part: dict[str, Any], place: str) -> None:
    for keyword in part:
        if keyword not in KEYWORDS:
            raise refused(
                place + pointer_to(keyword),
                "Leave this keyword out: it is unknown, or it is a reference, which is not allowed.",
            )
    if part.get("$schema", DIALECT) != DIALECT:
        raise refused(place + "/$schema", f"Leave `$schema` out, or send {DIALECT}.")
    labels = part.get("x-labels", {})
    if not isinstance(labels, dict) or not all(isinstance(one, str) for one in labels.values()):
        raise refused(place + "/x-labels", "Send an object of texts by language, such as `en`.")
    pattern, options = part.get("pattern"), part.get("enum")
    if isinstance(pattern, str) and len(pattern) > LONGEST_PATTERN:
        raise refused(place + "/pattern", f"A pattern has at most {LONGEST_PATTERN} characters.")
    if isinstance(options, list) and len(options) > MOST_OPTIONS:
        raise refused(place + "/enum", f"An `enum` has at most {MOST_OPTIONS} values.")


def refused(pointer: str, message: str) -> DomainError:
    """Return the problem of a schema that is not accepted, with the pointer to what is wrong."""
    return DomainError("invalid-schema", message, (FieldError(pointer, "invalid-schema", message),))
