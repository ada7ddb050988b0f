"""From the cells of a row to the body of a create: which column is which field, and how text becomes a value."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from crm_kit.errors import DomainError, FieldError

OWNER = "owner_email"
"""Pseudo field: the record is given to the active user with this e-mail address."""

SHOWN = 200
"""Characters of what a mapping says that a problem repeats."""
MOST_PARTS = 1000
"""Of a list in a cell."""
TRUE = frozenset({"true", "yes", "y", "1", "x"})
FALSE = frozenset({"false", "no", "n", "0"})
WHOLE = re.compile(r"[+-]?\d{1,18}")
NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")

Convert = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a column's text goes: a field, or a part of one."""

    field: str
    part: str | None
    convert: Convert


class FieldMapping:
    """The mapping of one job, checked against the create schema and the file's columns."""

    def __init__(self, schema: type[BaseModel], columns: Sequence[str], mapping: Mapping[str, str]) -> None:
        self._columns = tuple(columns)
        self._targets: list[tuple[int, Target]] = []
        self._constants: list[tuple[str, Target]] = []
        kinds = field_kinds(schema)
        for source, path in mapping.items():
            target = _target(kinds, source, path)
            if source.startswith("="):
                self._constants.append((source[1:], target))
            elif source in self._columns:
                self._targets.append((self._columns.index(source), target))
            else:
                raise _refused(source, "unknown-column", f"The file has no column {source[:SHOWN]!r}.")
        self._fed = {target.field for _, target in self._targets}

    def column_of(self, field: str) -> str:
        """The file's column that feeds a field, for the error report; the field's name when none does."""
        for index, target in self._targets:
            if target.field == field:
                return self._columns[index]
        return field

    def owner(self, cells: Sequence[str]) -> str | None:
        """The e-mail address of the row's owner, where a column or constant names one."""
        for text, target in self._constants:
            if target.field == OWNER:
                return text
        for index, target in self._targets:
            if target.field == OWNER and index < len(cells) and cells[index].strip():
                return cells[index]
        return None

    def body(self, cells: Sequence[str]) -> dict[str, Any]:
        """The body for the create schema. Empty cells are left out, and with them the constants that only go with them."""
        body: dict[str, Any] = {}
        for index, target in self._targets:
            text = cells[index] if index < len(cells) else ""
            if text and not text.isspace() and target.field != OWNER:
                _put(body, target, text)
        for text, target in self._constants:
            # A currency without an amount is nothing that somebody said.
            alone = target.part is not None and target.field in self._fed and target.field not in body
            if target.field != OWNER and not alone:
                _put(body, target, text)
        return body


def _put(body: dict[str, Any], target: Target, text: str) -> None:
    """What a column says stands; a constant fills in."""
    value = target.convert(text)
    if target.part is None:
        body.setdefault(target.field, value)
    else:
        body.setdefault(target.field, {}).setdefault(target.part, value)


def default_mapping(schema: type[BaseModel], columns: Sequence[str]) -> dict[str, str]:
    """Without a mapping, columns named like fields are those fields and the others are left out."""
    kinds = field_kinds(schema)
    return {column: column for column in columns if column.partition(".")[0] in kinds or column == OWNER}


@lru_cache(maxsize=64)
def field_kinds(schema: type[BaseModel]) -> dict[str, str]:
    """Field name to the JSON type it takes, as the OpenAPI document says."""
    document = schema.model_json_schema()
    return {name: _kind(described, document.get("$defs", {})) for name, described in document["properties"].items()}


def _kind(described: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "anyOf" in described:
        return next(kind for one in described["anyOf"] if (kind := _kind(one, definitions)) != "null")
    if "allOf" in described:
        return _kind(described["allOf"][0], definitions)
    if "$ref" in described:
        return _kind(definitions[described["$ref"].rpartition("/")[2]], definitions)
    return str(described.get("type", "string"))


def _target(kinds: Mapping[str, str], source: str, path: str) -> Target:
    if path == OWNER:
        return Target(OWNER, None, str.strip)
    field, _, part = path.partition(".")
    kind = kinds.get(field)
    if kind is None:
        allowed = ", ".join([*kinds, OWNER])
        raise _refused(source, "unknown-field", f"There is no field {path[:SHOWN]!r}. Choose one of: {allowed}.")
    if kind == "object" and not part:
        raise _refused(source, "invalid-value", f"Name each part of {field} separately, such as {field}.amount.")
    if part and kind != "object":
        raise _refused(source, "invalid-value", f"Name {field} alone: it has no parts.")
    return Target(field, part or None, CONVERT.get(kind, str))


def _boolean(text: str) -> Any:
    word = text.strip().lower()
    return True if word in TRUE else False if word in FALSE else text


def _integer(text: str) -> Any:
    return int(text) if WHOLE.fullmatch(text.strip()) else text


def _number(text: str) -> Any:
    return float(text) if NUMBER.fullmatch(text.strip()) else text


def _array(text: str) -> Any:
    pieces = text.split(";", MOST_PARTS)
    return text if len(pieces) > MOST_PARTS else [part for piece in pieces if (part := piece.strip())]


CONVERT: dict[str, Convert] = {"boolean": _boolean, "integer": _integer, "number": _number, "array": _array}
"""What is not text in JSON. A text that is no such value is passed on, so that the schema says what is wrong."""


def _refused(source: str, code: str, message: str) -> DomainError:
    pointer = "/mapping/" + source[:SHOWN].replace("~", "~0").replace("/", "~1")
    return DomainError("invalid-mapping", message, (FieldError(pointer, code, message),))
