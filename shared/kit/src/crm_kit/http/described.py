"""The fields of a model, as its JSON Schema describes them: what a form or a list needs to know, without labels."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from crm_contracts.catalogue import entity_for
from crm_contracts.types import LONG_TEXT
from crm_kit.process.runtime import PRINCIPALS

REF: Final = "#/$defs/"
_BLANK: Final = r"^[ \t\r\n]*$"
_FORMATS: Final = {
    "email": "email",
    "date": "date",
    "date-time": "datetime",
    "uuid": "id",
    "uri": "url",
    "phone": "phone",
    "multiline": "multiline",
}
_PATTERNS: Final = (
    (re.compile(r"\^https\?"), "url"),
    (re.compile(r"\^\\\+\[1-9\]|\^\[\+0-9"), "phone"),
    (re.compile(r"\^\[A-Z\]\{2\}\$"), "country"),
    (re.compile(r"\^\[A-Z\]\{3\}\$"), "currency"),
    (re.compile(r"\^(\(\?!.*\)|-\?)?\[0-9\]\{1,"), "decimal"),
)
"""What a pattern of ``crm_contracts.types`` means, where its schema has no format."""
_LONG_LISTS: Final = {"DE": "country", "EUR": "currency"}
"""Codes that a person chooses from a list which every platform has by itself."""
_OF_THE_KIT: Final = {
    "owner_id": tuple(sorted(PRINCIPALS)),
    "created_by": ("client", "user"),
    "modified_by": ("client", "user"),
}
_DEEPEST: Final = 4


@dataclass(slots=True)
class Described:
    """One field."""

    name: str
    type: str
    many: bool = False
    required: bool = False
    nullable: bool = False
    personal: bool = False
    to: tuple[str, ...] = ()
    options: tuple[str, ...] | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    fields: list["Described"] = field(default_factory=list)


def fields_of(model: type[BaseModel], *, sent: bool, about: str, to: Mapping[str, tuple[str, ...]]) -> list[Described]:
    """Return the fields of a body (``sent``) or an answer about an entity. ``to`` has what its fields refer to."""
    schema = model.model_json_schema(mode="validation" if sent else "serialization")
    return list(_Reader(schema.get("$defs", {}), about, to).fields(schema, 0))


@dataclass(frozen=True, slots=True)
class _Reader:
    defs: Mapping[str, Any]
    about: str
    to: Mapping[str, tuple[str, ...]]

    def fields(self, schema: Mapping[str, Any], depth: int) -> Iterator[Described]:
        required = set(schema.get("required", ()))
        for name, node in schema.get("properties", {}).items():
            if not node.get("readOnly"):
                yield self._field(name, node, name in required, depth)

    def _field(self, name: str, node: Mapping[str, Any], required: bool, depth: int) -> Described:
        found = Described(name, "text", required=required)
        self._read(found, node, depth)
        if found.type in ("id", "reference"):
            found.to = self._target(name, depth)
            found.type = "reference" if found.to else found.type
        return found

    def _target(self, name: str, depth: int) -> tuple[str, ...]:
        if depth == 0 and name in self.to:
            return self.to[name]
        if name in _OF_THE_KIT:
            return _OF_THE_KIT[name]
        if name in ("into", "survivor_id"):
            return (self.about,)
        stem = name.removesuffix("_ids").removesuffix("_id")
        return (stem,) if stem != name and entity_for(stem) is not None else ()

    def _read(self, found: Described, node: Mapping[str, Any], depth: int) -> None:
        found.personal = found.personal or bool(node.get("x-personal"))
        if "anyOf" in node or "oneOf" in node:
            choices = [one for one in (node.get("anyOf") or node["oneOf"]) if one.get("pattern") != _BLANK]
            found.nullable = found.nullable or any(one.get("type") == "null" for one in choices)
            choices = [one for one in choices if one.get("type") != "null"]
            if choices:
                self._read(found, choices[0], depth)
            return
        if "allOf" in node and len(node["allOf"]) == 1:
            self._read(found, node["allOf"][0], depth)
            return
        if "$ref" in node:
            self._read_named(found, node["$ref"].removeprefix(REF), depth)
            return
        kind = node.get("type")
        if isinstance(kind, list):
            found.nullable = found.nullable or "null" in kind
            kind = next((one for one in kind if one != "null"), None)
        match kind:
            case "array":
                found.many = True
                self._read(found, node.get("items", {}), depth)
            case "object" if "properties" in node:
                self._read_object(found, node, depth)
            case "object" | None if "enum" not in node and "const" not in node:
                found.type = "object"
            case "boolean" | "integer":
                found.type = kind
                self._bound(found, node)
            case "number":
                found.type = "percent" if node.get("multipleOf") == 0.01 or node.get("maximum") == 100 else "number"
                self._bound(found, node)
            case _:
                self._read_text(found, node)

    def _bound(self, found: Described, node: Mapping[str, Any]) -> None:
        found.minimum, found.maximum = node.get("minimum"), node.get("maximum")

    def _read_named(self, found: Described, name: str, depth: int) -> None:
        target = self.defs.get(name, {})
        if name == "Money":
            found.type = "money"
        self._read(found, target, depth)

    def _read_object(self, found: Described, node: Mapping[str, Any], depth: int) -> None:
        names = set(node["properties"])
        if names == {"amount", "currency"}:
            found.type = "money"
        elif {"type", "id"} <= names and names <= {"type", "id", "name", "deleted", "hidden"}:
            found.type = "reference"
            return
        else:
            found.type = "object"
        if depth < _DEEPEST:
            found.fields = list(self.fields(node, depth + 1))

    def _read_text(self, found: Described, node: Mapping[str, Any]) -> None:
        values = [str(one) for one in node.get("enum", [node["const"]] if "const" in node else []) if one is not None]
        long_list = next((kind for code, kind in _LONG_LISTS.items() if code in values), None)
        if values and long_list is None:
            found.type, found.options = "option", tuple(values)
        else:
            found.type = long_list or _FORMATS.get(str(node.get("format"))) or _meaning(node)
        if found.type in ("text", "multiline", "email", "url"):
            found.max_length = node.get("maxLength")


def _meaning(node: Mapping[str, Any]) -> str:
    """What a text without a format is."""
    pattern = str(node.get("pattern", ""))
    known = next((kind for form, kind in _PATTERNS if form.match(pattern)), None)
    return known or ("multiline" if node.get("maxLength") == LONG_TEXT else "text")
