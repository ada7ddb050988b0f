"""Examples for every request and answer of the merged document.

Services write them: those of requests with their models, those of records and other answers in ``examples.json`` of a slice. What
has none is made of the examples, choices and formats of its fields, never of their names.
"""

from collections.abc import Iterator
from typing import Any, Final

Node = dict[str, Any]
Schemas = dict[str, Node]

REF: Final = "#/components/schemas/"
ID: Final = "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"
CSV: Final = "topic,last_name\nGold card,Lovelace\n"
BY_FORMAT: Final = {
    "uuid": ID,
    "date": "2026-05-04",
    "date-time": "2026-05-04T09:30:00Z",
    "email": "ada@example.org",
    "idn-email": "ada@example.org",
    "phone": "+491701234567",
    "uri": "https://example.org",
    "binary": CSV,
}
UNTOLD: Final = "…"
"""A text that nobody has given an example of. A test finds it."""
DEEPEST: Final = 6


def give_examples(document: Node) -> None:
    """Give each request and answer of a document an example, in place."""
    schemas: Schemas = document["components"]["schemas"]
    for schema in schemas.values():
        for example in schema.get("examples", ()):
            if isinstance(example, dict):
                _complete(example, schema, schemas)
    for place in _bodies(document):
        schema = place["schema"]
        if "example" in place or "examples" in place:
            continue
        one = next((choice for choice in schema.get("anyOf", ()) if "$ref" in choice), schema)
        named = schemas.get(one.get("$ref", "").removeprefix(REF))
        if named is None:
            place["example"] = _value(schema, schemas, 0)
        elif (item := _item(named)) is not None:
            _give(item, schemas)
        else:
            _give(one["$ref"].removeprefix(REF), schemas)
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            # The example of the whole shows them.
            field.pop("examples", None)


def _complete(example: Node, schema: Node, schemas: Schemas) -> None:
    """Add, in place, the fields that a schema requires and whose values nobody has written yet."""
    fields = _fields(schema, schemas)
    for field in _required(schema, schemas):
        if field in fields and field not in example:
            example[field] = _value(fields[field], schemas, 1)


def _required(schema: Node, schemas: Schemas) -> list[str]:
    found = list(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        found += _required(schemas[part["$ref"].removeprefix(REF)] if "$ref" in part else part, schemas)
    return found


def _bodies(document: Node) -> Iterator[Node]:
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and "responses" in operation:
                answers = [one for code, one in operation["responses"].items() if code < "3"]
                for body in (operation.get("requestBody", {}), *answers):
                    yield from (media for media in body.get("content", {}).values() if "schema" in media)


def _item(schema: Node) -> str | None:
    """The name of the schema of a page's items."""
    properties = schema.get("properties", {})
    item = properties.get("items", {}).get("items", {})
    chosen = item.get("anyOf", [item])[0]
    is_page = set(schema.get("required", ())) == {"items", "next"}
    ref: str | None = chosen.get("$ref") if is_page else None
    return None if ref is None else ref.removeprefix(REF)


def _give(name: str, schemas: Schemas) -> None:
    schema = schemas[name]
    if schema.get("examples") or "enum" in schema:
        return
    made = _value(schema, schemas, 0)
    stem = name.removesuffix("Read").removesuffix("Record").removesuffix("Update")
    created = schemas.get(f"{stem}Create", {}).get("examples")
    if created and isinstance(made, dict):
        sent = {key: value for key, value in created[0].items() if key in made and _alike(made[key], value)}
        if name.endswith("Update"):
            made = dict(list((sent or made).items())[:2])
        else:
            made = {key: _of_a_new_record(key, value, schema, schemas) for key, value in {**made, **sent}.items()}
    schema["examples"] = [made]


def _of_a_new_record(name: str, value: Any, schema: Node, schemas: Schemas) -> Any:
    """The value of a field as it is after the create: nothing has happened to the record, and it is part of nothing."""
    field = _fields(schema, schemas).get(name, {})
    later = field.get("format") in ("uuid", "date-time") and not name.startswith(("created_", "modified_"))
    return None if later and "null" in field.get("type", ()) else value


def _fields(schema: Node, schemas: Schemas) -> Node:
    found: Node = {}
    for part in schema.get("allOf", ()):
        found |= _fields(schemas[part["$ref"].removeprefix(REF)] if "$ref" in part else part, schemas)
    return {**found, **schema.get("properties", {})}


def _alike(made: Any, sent: Any) -> bool:
    if isinstance(made, dict) and isinstance(sent, dict):
        return made.keys() == sent.keys()
    return not isinstance(sent, dict | list)


def _value(schema: Node, schemas: Schemas, depth: int) -> Any:
    """Return a value that fits a schema."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return _value(schemas[schema["$ref"].removeprefix(REF)], schemas, depth)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _value(next(one for one in schema[key] if one.get("type") != "null"), schemas, depth)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "allOf" in schema or "properties" in schema:
        return _object(schema, schemas, depth)
    return _plain(schema, schemas, depth)


def _object(schema: Node, schemas: Schemas, depth: int) -> Node:
    made: Node = {}
    for part in schema.get("allOf", ()):
        made |= _object(schemas[part["$ref"].removeprefix(REF)] if "$ref" in part else part, schemas, depth)
    required = schema.get("required", [])
    for field, described in schema.get("properties", {}).items():
        is_shown = field in required or not (described.get("readOnly") or field == "hidden")
        if is_shown and (depth < DEEPEST or field in required):
            made[field] = _value(described, schemas, depth + 1)
    return made


def _plain(schema: Node, schemas: Schemas, depth: int) -> Any:
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    known = BY_FORMAT.get(schema.get("format", ""))
    if known is None and "null" in kinds:
        return None
    match kind:
        case "string":
            return known or (CSV if "contentMediaType" in schema else UNTOLD)
        case "integer" | "number":
            least = schema.get("minimum") or schema.get("exclusiveMinimum") or 0
            return max(int(least), 1)
        case "boolean":
            return False
        case "array":
            inner = schema.get("items", {})
            # A record that has an example of its own is not shown again within that of another.
            is_record = "allOf" in schemas.get(inner.get("$ref", "").removeprefix(REF), {})
            if depth >= DEEPEST or (is_record and depth > 1):
                return []
            one = _value(inner, schemas, depth + 1)
            return [] if one == UNTOLD else [one]
    return {}
