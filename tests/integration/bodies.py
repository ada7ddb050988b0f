"""Request bodies for an OpenAPI document."""

from typing import Any
from uuid import uuid4


def example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    """Return a body that matches the schema: its example, else its required fields in their simplest form."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[0])
    for choices in ("anyOf", "oneOf", "allOf"):
        if choices in schema:
            return example(document, schema[choices][0])
    if schema.get("type") == "object":
        return {name: example(document, schema["properties"][name]) for name in schema.get("required", [])}
    if schema.get("format") == "uuid":
        return str(uuid4())
    if schema.get("format") == "date-time":
        return "2030-01-01T09:00:00Z"
    if schema.get("format") == "date":
        return "2030-01-01"
    return {"integer": 1, "number": 1, "boolean": True, "array": []}.get(schema.get("type", ""), "a text")


def body_of(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else example(document, content["schema"])
