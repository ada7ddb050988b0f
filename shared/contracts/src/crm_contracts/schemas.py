"""The JSON Schemas (draft 2020-12) of the `data` of all events, on which consumers may rely.

A published schema allows what later releases may add: unknown fields and unknown values of an extensible enum are valid. A field
that was added after the first release (`x-since`) may be missing from an older event.
"""

import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from .catalogue import Event, all_events
from .envelope import URN, dataschema_of

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_DEFS: Final = "#/$defs/"


class _EventSchema(GenerateJsonSchema):
    """Leaves out titles of fields, because they repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def bundle() -> dict[str, Any]:
    """Return the schemas of all events by type, with their shared definitions: {"events": {type: schema}, "$defs": {...}}."""
    return bundle_of(all_events())


def bundle_of(events: Iterable[type[Event]]) -> dict[str, Any]:
    """Return the bundle of the given events, in the form of `bundle`."""
    events = tuple(events)
    by_model, document = models_json_schema(
        [(event, "serialization") for event in events], ref_template=_DEFS + "{model}", schema_generator=_EventSchema
    )
    definitions = {name: opened(schema) for name, schema in document.get("$defs", {}).items()}
    schemas: dict[str, Any] = {}
    for event in events:
        name = by_model[event, "serialization"]["$ref"].removeprefix(_DEFS)
        schema = definitions.pop(name)
        schemas[event.type] = schema
    return {"events": dict(sorted(schemas.items())), "$defs": dict(sorted(definitions.items()))}


def event_schema(event: type[Event], base: str = URN) -> dict[str, Any]:
    """Return the self-contained schema of an event's `data`. Its `$id` is the `dataschema` of the events.

    It has only keywords of the dialect, because strict validators refuse others. Our marks are comments in it.
    """
    whole = bundle()
    schema = whole["events"][event.type]
    return {
        "$schema": DIALECT,
        "$id": dataschema_of(event.type, base),
        **commented(schema),
        "$defs": {name: commented(whole["$defs"][name]) for name in sorted(_reachable(schema, whole["$defs"]))},
    }


def commented(schema: Any) -> Any:
    """Return a schema whose marks (`x-personal`) are in its `$comment`: `x-personal: true; x-since: 1.1.0`."""
    if isinstance(schema, list):
        return [commented(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    node = {key: _inside(key, value, commented) for key, value in schema.items() if not key.startswith("x-")}
    marks = [f"{key}: {_said(value)}" for key, value in schema.items() if key.startswith("x-")]
    return {**node, "$comment": "; ".join(marks)} if marks else node


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def opened(schema: Any) -> Any:
    """Return a schema that allows what later releases may add (see the module)."""
    if isinstance(schema, list):
        return [opened(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    node = {key: _inside(key, value, opened) for key, value in schema.items()}
    if node.get("additionalProperties") is False:
        del node["additionalProperties"]
    properties = node.get("properties")
    if isinstance(properties, dict) and "required" in node:
        node["required"] = [name for name in node["required"] if "x-since" not in properties.get(name, {})]
    if node.get("x-extensible-enum") is True:
        # The title belongs to the values: generators of code name an enum by it.
        known = {key: node.pop(key) for key in ("$ref", "title", "enum", "type") if key in node}
        node = {**node, "anyOf": [known, {"type": "string"}]}
    if "$ref" in node and len(node) > 1:
        # AsyncAPI tools read draft 7, where a $ref hides its siblings.
        node = {"allOf": [{"$ref": node.pop("$ref")}], **node}
    return node


def _inside(key: str, value: Any, change: Callable[[Any], Any]) -> Any:
    """Return the value of a keyword with the schemas in it changed."""
    if key in ("properties", "$defs"):
        return {name: change(schema) for name, schema in value.items()}
    # Sample values are data, not schemas.
    return value if key in ("examples", "default", "enum", "const", "required") else change(value)


def _reachable(schema: Any, definitions: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            waiting.extend(node.values())
            ref = node.get("$ref")
            if isinstance(ref, str) and (name := ref.removeprefix(_DEFS)) not in found:
                found.add(name)
                waiting.append(definitions[name])
    return found
