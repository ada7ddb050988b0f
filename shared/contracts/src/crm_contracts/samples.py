"""Golden samples: a complete event of each type. They are the same on every machine, and later consumers must read them."""

from copy import deepcopy
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from .catalogue import Event
from .envelope import DATA_CONTENT_TYPE, SPECVERSION, dataschema_of, source_of
from .schemas import event_schema

_TIME: Final = "2026-05-04T09:30:00Z"
_DEFS: Final = "#/$defs/"


def sample(event: type[Event]) -> dict[str, Any]:
    """Return a complete CloudEvent of this type, in which every field has a value."""
    schema = event_schema(event)
    data = _value(schema, schema["$defs"], event.type)
    identity = data["record"]
    document = {
        "specversion": SPECVERSION,
        "id": _id(f"{event.type}#event"),
        "source": source_of(event.entity.service),
        "type": event.type,
        "subject": identity["id"],
        "time": _TIME,
        "datacontenttype": DATA_CONTENT_TYPE,
        "dataschema": dataschema_of(event.type),
        "entityversion": identity["version"],
        "actor": f"user:{_id('user')}",
        "correlationid": _id("correlation"),
        "causationid": _id("cause"),
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "liaison=1",
        "data": data,
    }
    if event.entity.owned:
        document |= {"ownerid": identity["owner_id"], "businessunit": identity["business_unit_id"]}
    return document


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"liaison:{name}"))


def _value(schema: dict[str, Any], definitions: dict[str, Any], path: str) -> Any:
    """Return a value that the schema allows: its first example or enum value, or a value made from its type and path."""
    for source in (schema, *schema.get("allOf", ())):
        if source.get("examples"):
            return deepcopy(source["examples"][0])
    if "allOf" in schema:
        return _value(schema["allOf"][0], definitions, path)
    if "$ref" in schema:
        return _value(definitions[schema["$ref"].removeprefix(_DEFS)], definitions, path)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _value(schema[choice][0], definitions, path)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    return _made(schema, definitions, path)


def _made(schema: dict[str, Any], definitions: dict[str, Any], path: str) -> Any:
    name = path.rpartition(".")[2]
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        return {key: _value(part, definitions, f"{path}.{key}") for key, part in schema["properties"].items()}
    if kind == "object":
        inner = schema.get("additionalProperties")
        return {"description": _value(inner, definitions, f"{path}.value")} if inner else {}
    if kind == "array":
        return [_value(schema["items"], definitions, path)]
    if kind == "string":
        return _id(name) if schema.get("format") == "uuid" else name.replace("_", " ").capitalize()
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return True if kind == "boolean" else None
