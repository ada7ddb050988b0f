"""JSON that is neither too deep nor too large in any direction."""

import re
from typing import Any, Final

import orjson

from crm_contracts.sentences import said
from crm_kit.errors import DomainError, FieldError

MAX_MEMBERS: Final = 256
"""Members of one JSON object; no schema has half as many."""
MAX_ITEMS: Final = 1000
"""Items of one JSON array; no schema takes more than half of that."""
MAX_VALUES: Final = 20_000
"""Values in a JSON body, all levels together: twice what 500 lines have with every field set."""
FEW: Final = 200
"""Separators below which a body cannot break one of those."""
BRACKETS = re.compile(rb"[\[{}\]]")
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Strings of a JSON text; one that does not end goes to the end of the text, or looking for its end would start at each quote."""

BEGINNING = 16 * 1024


def parse_json(body: bytes, depth: int) -> Any:
    """The value of a JSON text that is neither too deep nor too large in any direction, found before anything is built of it.

    What has few separators is parsed at once. Else its strings are left out, which is linear, and what remains is counted.
    """
    containers = body.count(b"[") + body.count(b"{")
    many = containers + body.count(b",") + body.count(b":") > FEW
    if many:
        # What is too deep mostly is so from the start, and is told as that, however much follows.
        _refuse_depth(STRINGS.sub(b"", body[:BEGINNING]), depth)
        # A value has four quotes at most, two around its name and two of its own.
        if body.count(b'"') - body.count(b'\\"') > 4 * MAX_VALUES:
            raise _too_much("", "values", MAX_VALUES)
        bare = STRINGS.sub(b"", body)
        containers = bare.count(b"[") + bare.count(b"{")
        if bare.count(b",") + containers > MAX_VALUES:
            raise _too_much("", "values", MAX_VALUES)
        if containers > depth:
            _refuse_depth(bare, depth)
    elif containers > depth:
        _refuse_depth(STRINGS.sub(b"", body), depth)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise DomainError(
            "invalid-json", said("Send valid JSON: {reason} at {position}.", reason=error.msg, position=error.pos)
        ) from error
    if many:
        _refuse_breadth(value, "")
    return value


def _refuse_depth(bare: bytes, limit: int) -> None:
    depth = 0
    for bracket in BRACKETS.finditer(bare):
        if bracket[0] in b"[{":
            depth += 1
            if depth > limit:
                raise DomainError(
                    "invalid-json", said("Send JSON that is nested at most {limit} levels deep.", limit=limit)
                )
        else:
            depth -= 1
            if depth < 0:
                return  # what closes more than it opened is no JSON, as the parser will say


def _refuse_breadth(value: Any, pointer: str) -> None:
    """Objects with more members, and arrays with more items, than any schema has: 422 at the first."""
    if isinstance(value, dict):
        if len(value) > MAX_MEMBERS:
            raise _too_much(pointer, said("members"), MAX_MEMBERS)
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                _refuse_breadth(inner, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        if len(value) > MAX_ITEMS:
            raise _too_much(pointer, said("items"), MAX_ITEMS)
        for position, inner in enumerate(value):
            if isinstance(inner, dict | list):
                _refuse_breadth(inner, f"{pointer}/{position}")


def _too_much(pointer: str, what: str, limit: int) -> DomainError:
    message = said("Send at most {limit} {what}.", limit=limit, what=what)
    place = FieldError(pointer, "too-many", message)
    return DomainError(
        "validation",
        "The body does not fit its schema. Correct the fields that errors names.",
        (place,),
        {"limit": limit},
    )
