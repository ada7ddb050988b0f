"""Makes the body of a create from the cells of a row: maps columns to fields and converts text to values."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from crm_kit.errors import DomainError, FieldError

OWNER = "owner_email"
"""A pseudo field with the e-mail address of the active user who becomes the owner."""

SHOWN = 200
"""The most characters of a mapping's text that a problem repeats."""
MOST_PARTS = 1000
"""The most elements of a list in a cell."""
TRUE = frozenset({"true", "yes", "y", "1", "x"})
FALSE = frozenset({"false", "no", "n", "0"})
WHOLE = re.compile(r"[+-]?\d{1,18}")
NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{1,18})?")

Convert = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Target:
    """The field, or the part of a field, that takes a column's text."""

    field: str
    part: str | None
    convert: Convert


class FieldMapping:
    """The mapping of a job. Raises ``invalid-mapping`` unless it fits the schema of the create and the file's columns."""

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
        if not self._targets:
            raise _nothing_known(kinds)
        self._fed = {target.field for _, target in self._targets}
        self._unnamed = [index for index, column in enumerate(self._columns) if not column]
        by_name = all(source == path for source, path in mapping.items())
        self._whole = [
            index
            for index, column in enumerate(self._columns)
            if by_name and kinds.get(column) == "object" and column not in mapping
        ]
        places: dict[tuple[str, str | None], list[int]] = {}
        for index, target in self._targets:
            places.setdefault((target.field, target.part), []).append(index)
        self._shared = [indexes for indexes in places.values() if len(indexes) > 1]

    def column_of(self, place: Sequence[str]) -> str:
        """Return the file's column of a field or of its part. Without a column, it is the name of the field with its part."""
        field, part = place[0], ".".join(place[1:]) or None
        fed = [(target.part, self._columns[index]) for index, target in self._targets if target.field == field]
        exact = [column for known, column in fed if known == part]
        # An error of a whole field is reported at the column of its first part.
        return exact[0] if exact else fed[0][1] if fed and part is None else ".".join(place)

    def column_beside(self, place: Sequence[str]) -> str:
        """Return the file's column of another part of the same field. Use it if this part is missing."""
        return self.column_of([place[0]])

    def misfit(self, cells: Sequence[str]) -> tuple[str, str, str] | None:
        """Return why the cells of a row may be in wrong columns, as (column, code, message); None if they match the header."""
        if len(cells) != len(self._columns):
            message = (
                f"The row has {len(cells)} cells and the header {len(self._columns)}. Put a cell that contains the delimiter in"
                " double quotes."
            )
            return "", "wrong-number-of-cells", message
        for index in self._unnamed:
            if cells[index].strip():
                return "", "unnamed-column", f"Give column {index + 1} a name in the header: the row has a cell there."
        for index in self._whole:
            if cells[index].strip():
                column = self._columns[index]
                return column, "invalid-value", f"Send each part of {column} by itself, such as a column {column}.city."
        for indexes in self._shared:
            if len({text for index in indexes if (text := cells[index].strip())}) > 1:
                named = " and ".join(self._columns[index] for index in indexes)
                return (
                    self._columns[indexes[0]],
                    "contradiction",
                    f"Send one value: {named} feed the same field and differ.",
                )
        return None

    def owner(self, cells: Sequence[str]) -> str | None:
        """Return the e-mail address of the row's owner, or None if no column or constant names one."""
        for text, target in self._constants:
            if target.field == OWNER:
                return text
        for index, target in self._targets:
            if target.field == OWNER and index < len(cells) and cells[index].strip():
                return cells[index]
        return None

    def body(self, cells: Sequence[str]) -> dict[str, Any]:
        """Return the body of the create. Empty cells are left out, and with them constants of the same field."""
        body: dict[str, Any] = {}
        for index, target in self._targets:
            text = cells[index] if index < len(cells) else ""
            if text and not text.isspace() and target.field != OWNER:
                _put(body, target, text)
        for text, target in self._constants:
            # A constant currency without an amount does not make a value.
            alone = target.part is not None and target.field in self._fed and target.field not in body
            if target.field != OWNER and not alone:
                _put(body, target, text)
        return body


def _put(body: dict[str, Any], target: Target, text: str) -> None:
    """Put a value into the body. A value of a column has precedence over a constant."""
    value = target.convert(text)
    if target.part is None:
        body.setdefault(target.field, value)
    else:
        body.setdefault(target.field, {}).setdefault(target.part, value)


def _nothing_known(kinds: Mapping[str, str]) -> DomainError:
    message = (
        "No column of the file feeds a field. Send a mapping, or name columns like fields: "
        f"{', '.join([*kinds, OWNER])}."
    )
    return DomainError("invalid-mapping", message, (FieldError("/mapping", "unknown-column", message),))


def default_mapping(schema: type[BaseModel], columns: Sequence[str]) -> dict[str, str]:
    """Return the mapping for a file that comes without one: columns with names of fields are mapped, and others left out.

    So is a column of a field with parts, such as ``address``: null there says nothing, and text makes its row a misfit.
    """
    kinds = field_kinds(schema)
    return {
        column: column
        for column in columns
        if column == OWNER or (column.partition(".")[0] in kinds and kinds.get(column) != "object")
    }


@lru_cache(maxsize=64)
def field_kinds(schema: type[BaseModel]) -> dict[str, str]:
    """Return the JSON type of each field, as in the OpenAPI document."""
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
"""Converters for JSON types other than text. They return an invalid text unchanged, so that the schema reports the error."""


def _refused(source: str, code: str, message: str) -> DomainError:
    pointer = "/mapping/" + source[:SHOWN].replace("~", "~0").replace("/", "~1")
    return DomainError("invalid-mapping", message, (FieldError(pointer, code, message),))
