"""Fields that many schemas have are described once, and answers that leave fields out have a type of their own (ADR 68)."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from orjson import loads as from_json

from crm_kit.store.presenter import to_json

Node = dict[str, Any]
Schemas = dict[str, Node]

REF: Final = "#/components/schemas/"
BASES: Final = {
    "AnyRecord": (
        "What every record has.",
        ("id", "version", "created_at", "created_by", "modified_at", "modified_by"),
    ),
    "OwnedRecord": ("What a record with an owner has.", ("owner_type", "owner_id", "owner_name", "business_unit_id")),
}
WHOLE: Final = f"{REF}Whole"
"""How references begin to what is required of every whole record."""
LEAST: Final = 300
"""Bytes of fields for which a schema of their own is worth it."""
MUCH: Final = 500
"""Bytes that a schema for fields of several kinds of record has to save."""
PARTS: Final = ("Facts", "Fields")
"""How schemas end that only occur in ``allOf`` of others."""
ALONE: Final = ("AnyPage", "Operators")
"""How schemas end that are small, and are told whole."""


def share_fields(schemas: Schemas, listed: Iterable[str]) -> None:
    """Split schemas of records and of their bodies into shared parts, in place.

    ``listed`` are the schemas of pages whose request can name ``fields``: their items may lack the others.
    """
    bases = _bases(schemas)
    parts = {_item_of(schemas, page): page for page in listed}
    for name in [name for name, one in schemas.items() if "properties" in one]:
        used = [base for base in bases if _has(schemas[name], schemas[base]["properties"]) and name != base]
        if "AnyRecord" in used or name in parts:
            _split(schemas, name, used)
            if name in parts:
                _let_fields_be_absent(schemas, name, parts[name])
    for name in [name for name in schemas if name.endswith("Update")]:
        stem = name.removesuffix("Update")
        users = [user for user in (name, f"{stem}Create", f"{stem}Facts") if user in schemas]
        if len(users) > 1:
            _share_between(schemas, f"{stem}Fields", *users)


def share_pages(schemas: Schemas) -> None:
    """Describe once, in place, what all pages have beside their items."""
    pages = [one for one in schemas.values() if one.get("properties", {}).keys() == {"items", "next", "count"}]
    if len(pages) < 2:
        return
    common = {name: pages[0]["properties"][name] for name in ("next", "count")}
    schemas["AnyPage"] = {
        "type": "object",
        "description": "A page of a list. Its items have only the fields that `fields` names, and `id`, when it names some.",
        "properties": common,
        "required": ["next"],
    }
    for page in pages:
        if _has(page, common):
            page["properties"] = {"items": _but(page["properties"]["items"], {"description": ""})}
            page["allOf"] = [{"$ref": f"{REF}AnyPage"}]
            page["required"] = ["items"]
            page.pop("description", None)


def share_alike(schemas: Schemas) -> None:
    """Describe fields once, in place, that several schemas have alike, such as those of quotes, orders and invoices."""
    having: dict[bytes, list[str]] = {}
    for name, schema in sorted(schemas.items()):
        if name.endswith(ALONE):
            continue
        for field, described in schema.get("properties", {}).items():
            having.setdefault(to_json([field, described]), []).append(name)
    groups: dict[tuple[str, ...], list[str]] = {}
    for text, owners in having.items():
        groups.setdefault(tuple(owners), []).append(from_json(text)[0])
    for users, fields in sorted(groups.items()):
        common = {field: schemas[users[0]]["properties"][field] for field in fields}
        if (len(users) - 1) * len(to_json(common)) < MUCH:
            continue
        name, number = f"Shared{users[0]}", 1
        while name in schemas:
            number += 1
            name = f"Shared{users[0]}{number}"
        schemas[name] = {"type": "object", "properties": common}
        for user in users:
            _hand_over(schemas, user, name)


def _hand_over(schemas: Schemas, user: str, name: str) -> None:
    """Let a schema take fields from another. One that is a part of others gives them to those."""
    common, whole = schemas[name]["properties"], schemas[user]
    own = _but(whole["properties"], common)
    if user.endswith(PARTS):
        whole["properties"] = own
        ref = {"$ref": REF + name}
        for holder in [one for one in schemas.values() if {"$ref": REF + user} in one.get("allOf", ())]:
            holder["allOf"] = [one for one in holder["allOf"] if one != ref] + [ref]
        return
    closed = {"unevaluatedProperties": False} if whole.pop("additionalProperties", None) is False else {}
    del whole["properties"]
    whole |= {
        **({"properties": own} if own else {}),
        "allOf": [*whole.get("allOf", ()), {"$ref": REF + name}],
        **closed,
    }


def _bases(schemas: Schemas) -> list[str]:
    made = []
    for base, (description, names) in BASES.items():
        model = next((one for one in schemas.values() if one.get("properties", {}).keys() >= set(names)), None)
        if model is not None:
            properties = {name: model["properties"][name] for name in names}
            schemas[base] = {"type": "object", "description": description, "properties": properties}
            made.append(base)
    return made


def _has(schema: Node, properties: Node) -> bool:
    return all(schema["properties"].get(name) == described for name, described in properties.items())


def _split(schemas: Schemas, name: str, bases: list[str]) -> None:
    whole, stem = schemas[name], _stem(name)
    taken = {field for base in bases for field in schemas[base]["properties"]}
    own = {field: _answered(one) for field, one in whole["properties"].items() if field not in taken}
    schemas[f"{stem}Facts"] = {"type": "object", "properties": own}
    schemas[name] = {
        **{key: value for key, value in whole.items() if key not in ("properties", "additionalProperties", "type")},
        "allOf": [{"$ref": REF + part} for part in (*bases, f"{stem}Facts")],
    }
    if bases and taken <= set(whole.get("required", ())):
        # What every whole record has is required once for all of them.
        shared = f"{WHOLE.removeprefix(REF)}{bases[-1]}"
        required = [field for base in bases for field in schemas[base]["properties"]]
        schemas.setdefault(shared, {"allOf": [{"$ref": REF + base} for base in bases], "required": required})
        schemas[name]["allOf"][: len(bases)] = [{"$ref": REF + shared}]
        schemas[name]["required"] = [field for field in whole["required"] if field not in taken]


def _answered(field: Node) -> Node:
    """A field without the rules that only who sends it needs."""
    return {key: value for key, value in field.items() if key not in ("minLength", "maxLength")}


def _let_fields_be_absent(schemas: Schemas, name: str, page: str) -> None:
    part = f"{_stem(name)}Part"
    parts = [
        inner
        for one in schemas[name]["allOf"]
        for inner in (schemas[one["$ref"].removeprefix(REF)]["allOf"] if one["$ref"].startswith(WHOLE) else [one])
    ]
    schemas[part] = {"allOf": parts, "required": ["id"]}
    items = schemas[page]["properties"]["items"]
    items["items"] = {"anyOf": [{"$ref": REF + name}, {"$ref": REF + part}]}


def _share_between(schemas: Schemas, name: str, *users: str) -> None:
    """Describe fields once that are sent and answered alike. The words are those of the first user, a request."""
    first, *others = (schemas[user].get("properties", {}) for user in users)
    common = {
        field: one
        for field, one in first.items()
        if all(field in other and _kind(other[field]) == _kind(one) for other in others)
    }
    if name in schemas or len(to_json(common)) < LEAST:
        return
    schemas[name] = {"type": "object", "properties": common}
    for user in users:
        _hand_over(schemas, user, name)


def _but(properties: Node, common: Node) -> Node:
    return {field: one for field, one in properties.items() if field not in common}


def _kind(field: Node) -> Node:
    """What a field is, without words, and without rules that only a request has."""
    return {
        key: value
        for key, value in field.items()
        if key not in ("description", "examples", "pattern", "multipleOf", "minLength", "maxLength", "format")
    }


def pages_with_fields(operations: Iterable[Node]) -> Iterator[str]:
    """Yield the schemas of the pages that operations answer whose request can name ``fields``."""
    for operation in operations:
        named = any(one.get("name") == "fields" for one in operation.get("parameters", []))
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if named or body.get("$ref") == f"{REF}Query":
            answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
            yield answer["$ref"].removeprefix(REF)


def _item_of(schemas: Schemas, page: str) -> str:
    item: str = schemas[page]["properties"]["items"]["items"]["$ref"]
    return item.removeprefix(REF)


def _stem(name: str) -> str:
    return name.removesuffix("Read").removesuffix("Record")
