"""Finds breaking changes between two releases of the event schemas.

Within a major version of an event, every earlier consumer must be able to read what present producers send, and present consumers
must be able to read every earlier event. A released field therefore keeps its name, type, nullability and limits. Compatible
changes are a new event, a new field with `x-since` and a default, a new value of an extensible enum, a new personal mark, and
another description. Any other change needs a new `.v2` in addition to the `.v1`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_LIMITS: Final = (
    "const",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "patternProperties",
)
_DEFS: Final = "#/$defs/"
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Break:
    """A breaking change, with the event, the path in its data, and a message."""

    event: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.event}{' ' + self.path if self.path else ''}: {self.message}"


def breaks(released: Schema, current: Schema) -> list[Break]:
    """Return the breaking changes from one bundle of schemas (`schemas.bundle()`) to another, sorted by event."""
    found: list[Break] = []
    for type_, before in sorted(released["events"].items()):
        after = current["events"].get(type_)
        if after is None:
            found.append(
                Break(type_, "", "the event was removed or its type string changed; consumers are bound to it")
            )
            continue
        comparison = _Comparison(type_, released["$defs"], current["$defs"])
        found.extend(comparison.compare(before, after, ""))
    return found


class _Comparison:
    """Compares two schemas of an event. Each has its own definitions."""

    def __init__(self, event: str, old_definitions: Schema, new_definitions: Schema) -> None:
        self._event = event
        self._old = old_definitions
        self._new = new_definitions
        # Prevents endless recursion into a definition that contains itself.
        self._under_way: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        pair = (_ref(old), _ref(new))
        if all(pair):
            if pair in self._under_way:
                return
            self._under_way.add(pair)
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        yield from self._marks(old, new, path)
        old_kinds, new_kinds = self._alternatives(old, self._old), self._alternatives(new, self._new)
        if _nullable(old_kinds) != _nullable(new_kinds):
            became = "may now be null" if _nullable(new_kinds) else "may no longer be null, but older events hold null"
            yield self._break(path, f"the field {became}")
        old_values = [kind for kind in old_kinds if kind.get("type") != "null"]
        new_values = [kind for kind in new_kinds if kind.get("type") != "null"]
        if len(old_values) != len(new_values):
            yield self._break(path, f"the field had {len(old_values)} forms and now has {len(new_values)}")
        else:
            for old_value, new_value in zip(old_values, new_values, strict=True):
                yield from self._value(old_value, new_value, path)
        if all(pair):
            self._under_way.discard(pair)

    def _alternatives(self, schema: Schema, definitions: Schema) -> list[Schema]:
        """Return the alternatives of a schema. Nested `anyOf` are flattened."""
        parts = schema.get("anyOf") or schema.get("oneOf")
        if parts is None:
            return [schema]
        resolved = [_resolved(part, definitions) for part in parts]
        if schema.get("x-extensible-enum") is True:
            # The alternative for unknown values of an extensible enum does not count.
            return [{**next(part for part in resolved if "enum" in part), "x-extensible-enum": True}]
        return [kind for part in resolved for kind in self._alternatives(part, definitions)]

    def _value(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        if old.get("type") != new.get("type"):
            yield self._break(path, f"the type changed from {_type(old)} to {_type(new)}")
            return
        for limit in _LIMITS:
            if old.get(limit) != new.get(limit):
                yield self._break(path, f"{limit} changed from {_said(old, limit)} to {_said(new, limit)}")
        yield from self._enum(old, new, path)
        if old.get("x-extensible-enum") != new.get("x-extensible-enum"):
            yield self._break(path, "the enum became extensible or stopped being so")
        yield from self._properties(old, new, path)
        for member, step in (("items", "[]"), ("additionalProperties", "{}")):
            before, after = old.get(member), new.get(member)
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                yield from self.compare(before, after, f"{path}{step}")
            elif before != after:
                yield self._break(path, f"{member} changed")

    def _enum(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        before, after = old.get("enum"), new.get("enum")
        if before == after:
            return
        if before is None or after is None:
            yield self._break(path, "the field became or stopped being an enum")
            return
        removed = [value for value in before if value not in after]
        added = [value for value in after if value not in before]
        if removed:
            yield self._break(
                path, f"enum values were removed, but older events hold them: {', '.join(map(str, removed))}"
            )
        if added and new.get("x-extensible-enum") is not True:
            yield self._break(
                path, f"values were added to an enum that is not extensible: {', '.join(map(str, added))}"
            )

    def _properties(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name, schema in before.items():
            at = f"{path}.{name}" if path else name
            if name not in after:
                yield self._break(at, "the field was removed")
                continue
            if name in was_required and name not in is_required:
                yield self._break(at, "the field was always there and may now be missing")
            if name not in was_required and name in is_required:
                yield self._break(at, "the field became required, but older events lack it")
            yield from self.compare(schema, after[name], at)
        for name, schema in after.items():
            if name in before:
                continue
            at = f"{path}.{name}" if path else name
            if name in is_required or "x-since" not in schema:
                yield self._break(at, "a new field needs a default and x-since, because older events lack it")

    def _marks(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        if old.get("x-personal") and not new.get("x-personal"):
            yield self._break(path, "the field is no longer marked personal, so logs and erasure would miss it")

    def _break(self, path: str, message: str) -> Break:
        return Break(self._event, path, message)


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Return a schema with its reference replaced by the definition. Members next to the reference have precedence."""
    parts = schema.get("allOf")
    if parts is not None and len(parts) == 1:
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        schema = {**parts[0], **rest}
    ref = schema.get("$ref")
    if ref is None:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    return {**_resolved(definitions[ref.removeprefix(_DEFS)], definitions), **rest}


def _ref(schema: Schema) -> str:
    parts = schema.get("allOf")
    return str(schema.get("$ref") or (parts[0].get("$ref") if parts else "") or "")


def _nullable(kinds: list[Schema]) -> bool:
    return any(kind.get("type") == "null" for kind in kinds)


def _type(schema: Schema) -> str:
    return str(schema.get("type", "any"))


def _said(schema: Schema, limit: str) -> str:
    return str(schema[limit]) if limit in schema else "none"
