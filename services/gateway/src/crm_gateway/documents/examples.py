"""Examples for every request and answer of the merged document.

A service gives those of its requests. The others are made of the examples, choices and formats of the fields, so that a new field
or operation has one, too. A record's example has the values of the example with which such a record is created.
"""

from collections.abc import Iterator
from typing import Any, Final

Node = dict[str, Any]
Schemas = dict[str, Node]

REF: Final = "#/components/schemas/"
ID: Final = "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"
BY_FORMAT: Final = {
    "uuid": ID,
    "date": "2026-05-04",
    "date-time": "2026-05-04T09:30:00Z",
    "email": "ada@example.org",
    "idn-email": "ada@example.org",
    "phone": "+491701234567",
    "uri": "https://example.org",
    "binary": "topic,last_name\nGold card,Lovelace\n",
}
BY_NAME: Final[dict[str, Any]] = {
    "access_token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIwMTk3MGM3ZSJ9.c2ln",
    "actor": f"user:{ID}",
    "after": None,
    "category": "Follow-up",
    "client_id": None,
    "client_secret": None,
    "current_password": "correct horse battery staple",
    "evaluation": "The company has budget and needs twelve seats.",
    "grant_type": "password",
    "message": "Send an e-mail address such as ada@example.org.",
    "mobile_phone": "+491701234567",
    "needs": "Twelve seats by spring",
    "new_password": "seven quiet otters read maps",
    "note": "Called; wants an offer by Friday.",
    "offer": "Ten per cent off until June",
    "outcome": "Wants an offer by Friday.",
    "objective": "Fifty new leads in spring",
    "number": "LEA-00042",
    "phone": "+49301234567",
    "q": None,
    "reference": "TRX-2026-0042",
    "refresh_token": "ES0w4fTgQ2xw8Zk1",
    "resolution": "The invoice was corrected.",
    "sheet": "Leads",
    "sort": "-created_at",
    "state": "open/new",
    "username": "ada@example.org",
    "weaknesses": "No support at weekends",
    "allowed_actions": ["assign"],
    "business_unit_name": "Berlin office",
    "city": "Berlin",
    "code": "late",
    "company_name": "Analytical Engines Ltd",
    "count": "exact",
    "country": "DE",
    "currency": "EUR",
    "description": "Met at the spring fair; wants an offer for twelve seats.",
    "detail": "There is no such record.",
    "exchange_rate": "1",
    "first_name": "Ada",
    "full_name": "Ada Lovelace",
    "href": f"/api/v1/leads/{ID}",
    "industry": "Manufacturing",
    "job_title": "Head of research",
    "last_name": "Lovelace",
    "line1": "Invalidenstraße 117",
    "line2": "2nd floor",
    "mapping": '{"Surname": "last_name", "Value": "estimated_value.amount"}',
    "name": "Analytical Engines Ltd",
    "next": None,
    "owner_name": "Sam Seller",
    "password": "correct horse battery staple",
    "postal_code": "10115",
    "region": "Berlin",
    "status_message": "Done",
    "subject": "Offer for twelve seats",
    "time_zone": "Europe/Berlin",
    "topic": "Gold card for the sales team",
    "unit": "piece",
    "version": 3,
}
DEEPEST: Final = 6


def give_examples(document: Node) -> None:
    """Give each request and answer of a document an example, in place."""
    schemas: Schemas = document["components"]["schemas"]
    for place in _bodies(document):
        schema = place["schema"]
        if "example" in place or "examples" in place:
            continue
        one = next((choice for choice in schema.get("anyOf", ()) if "$ref" in choice), schema)
        named = schemas.get(one.get("$ref", "").removeprefix(REF))
        if named is None:
            place["example"] = _value("", schema, schemas, 0)
        elif (item := _item(named)) is not None:
            _give(item, schemas)
        else:
            _give(one["$ref"].removeprefix(REF), schemas)
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            # The example of the whole shows them.
            field.pop("examples", None)


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
    made = _value(name, schema, schemas, 0)
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


def _value(name: str, schema: Node, schemas: Schemas, depth: int) -> Any:
    """Return a value that fits a schema. ``name`` is that of the field."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return _value(name, schemas[schema["$ref"].removeprefix(REF)], schemas, depth)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _value(name, next(one for one in schema[key] if one.get("type") != "null"), schemas, depth)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    if "allOf" in schema or "properties" in schema:
        return _object(schema, schemas, depth)
    return _plain(name, schema, schemas, depth)


def _object(schema: Node, schemas: Schemas, depth: int) -> Node:
    made: Node = {}
    for part in schema.get("allOf", ()):
        made |= _object(schemas[part["$ref"].removeprefix(REF)] if "$ref" in part else part, schemas, depth)
    required = schema.get("required", [])
    for field, described in schema.get("properties", {}).items():
        is_shown = field in required or not (described.get("readOnly") or field == "hidden")
        if is_shown and (depth < DEEPEST or field in required):
            made[field] = _value(field, described, schemas, depth + 1)
    return made


def _plain(name: str, schema: Node, schemas: Schemas, depth: int) -> Any:
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    known = BY_NAME.get(name, BY_FORMAT.get(schema.get("format", "")))
    if "null" in kinds and name in BY_NAME and known is None:
        return None
    match kind:
        case "string":
            found = known if isinstance(known, str) else name.replace("_", " ").capitalize() or "Text"
            return found[: schema.get("maxLength")]
        case "integer" | "number":
            least = schema.get("minimum") or schema.get("exclusiveMinimum") or 0
            return known if isinstance(known, int) else max(int(least), 1)
        case "boolean":
            return False
        case "array":
            if isinstance(known, list):
                return known
            inner = schema.get("items", {})
            # A record that has an example of its own is not shown again within that of another.
            is_record = "allOf" in schemas.get(inner.get("$ref", "").removeprefix(REF), {})
            if depth >= DEEPEST or (is_record and depth > 1):
                return []
            return [_value(name.removesuffix("s"), inner, schemas, depth + 1)]
    return {}
