"""How the schemas of services are told to people and to generators (ADR 68).

A service's own document says exactly what it accepts, for tests that try it. The merged document says it in fewer, named schemas:
one for what is sent and what is answered, one for each set of choices, and no pattern that only repeats a sentence.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from crm_kit.store.presenter import to_json

Node = dict[str, Any]
Schemas = dict[str, Node]

REF: Final = "#/components/schemas/"
NAMES_ABOVE: Final = frozenset(
    ("paths", "properties", "content", "schemas", "responses", "headers", "parameters", "securitySchemes")
)
"""Keys of objects whose own keys are names."""
LITERAL: Final = frozenset(("example", "examples", "default", "enum", "const", "required", "mapping"))
"""Keys whose values are no parts of the document."""

PHONES: Final = (r"^\+[1-9][0-9]{6,14}$", r"^[+0-9 ()./\-]+$")
"""Telephone numbers as they are answered, and as they may be sent."""
WEB: Final = "^https?://"
LINES: Final = 2000
"""A text that may be longer than this has several lines."""
MANY: Final = 60
"""More choices than this are codes that somebody else keeps, such as currencies. Their form is told instead."""
BLANK: Final = r"^[ \t\r\n]*$"


def published(document: Mapping[str, Any]) -> Node:
    """Return a service's document with its schemas as they are published."""
    told: Node = mapped(document, _plain)
    schemas: Schemas = told.get("components", {}).get("schemas", {})
    renamed = _same_on_both_sides(schemas)
    renamed |= _with_hidden(schemas)
    told = mapped(told, lambda node: _pointing(node, renamed))
    schemas = told.get("components", {}).get("schemas", {})
    for name in [name for name in schemas if name.endswith("Patch")]:
        whole = schemas.get(name.removesuffix("Patch"))
        if whole is not None and _but_text(whole) == _but_text(schemas[name]):
            renamed[name] = name.removesuffix("Patch")
            del schemas[name]
    renamed |= _one_form(schemas)
    named = {name: {**schemas.pop(name)} for name in [name for name, one in schemas.items() if "enum" in one]}
    for choices in named.values():
        choices.pop("title", None)
    told = mapped(told, lambda node: _named(_pointing(node, renamed), named))
    by_choices = {tuple(one["enum"]): name for name, one in sorted(named.items(), reverse=True)}
    told = mapped(told, lambda node: _known_choices(node, by_choices) if node.get("in") == "query" else node)
    told = mapped(told, _with_useful_filters)
    told.setdefault("components", {}).setdefault("schemas", {}).update(named)
    return told


def _with_useful_filters(node: Node) -> Node:
    """An operation without the filters by a currency that say nothing more. The service takes them all the same.

    The base currency is the same everywhere, and the amounts of a record that has a ``currency`` are in that one.
    """
    if "parameters" in node and "responses" in node:
        has_currency = any(one["name"] == "currency" for one in node["parameters"])
        useless = ".currency" if has_currency else "_base.currency"
        node["parameters"] = [one for one in node["parameters"] if not one["name"].endswith(useless)]
    return node


def _known_choices(parameter: Node, by_choices: Mapping[tuple[str, ...], str]) -> Node:
    """Let a filter refer to the named choices of the field that it filters."""
    for index, choice in enumerate(parameter["schema"].get("anyOf", ())):
        if (name := by_choices.get(tuple(choice.get("enum", ())))) is not None:
            parameter["schema"]["anyOf"][index] = {"$ref": REF + name}
    return parameter


def mapped(node: Any, change: Callable[[Node], Node], *, names: bool = False) -> Any:
    """Return a copy of a part of a document in which every object was changed, inner ones first.

    With ``names`` the part is an object by name, such as ``properties``, and is not changed itself.
    """
    if isinstance(node, list):
        return [mapped(value, change) for value in node]
    if not isinstance(node, dict):
        return node
    made = {
        key: value if not names and key in LITERAL else mapped(value, change, names=not names and key in NAMES_ABOVE)
        for key, value in node.items()
    }
    return made if names else change(made)


def _plain(node: Node) -> Node:
    """A schema without the title of its field, and with type, null and format in their shortest form."""
    if "openapi" in node or "version" in node:
        return node
    if node.get("description") == "Successful Response":
        node["description"] = "OK."
    if "enum" not in node:
        node.pop("title", None)
        node.pop("x-extensible-enum", None)
    elif len(node["enum"]) > MANY:
        length = {len(choice) for choice in node.pop("enum")}
        node.setdefault("pattern", f"^[A-Z]{{{min(length)}}}$")
        node.pop("title", None)
    if "anyOf" in node:
        node = _nullable(node)
    if node.get("style") == "deepObject":
        # The name and the schema of a filter say what its description would repeat.
        node.pop("description", None)
    if node.get("in") == "query" and node.get("required") is False:
        del node["required"]
    for field in node.get("properties", {}).values():
        _tell_default(field)
    if "$ref" in node:
        node.pop("properties", None)
    return _formatted(node)


def _tell_default(field: Node) -> None:
    """Tell a default in words: generators take a field that has one for a field that every request has to send."""
    default = field.pop("default", None)
    if default not in (None, []) and "Unless" not in field.get("description", ""):
        shown = default if isinstance(default, str) else to_json(default).decode()
        field["description"] = f"{field.get('description', '').rstrip('.')}. Unless given: `{shown}`."


def _nullable(node: Node) -> Node:
    """Fold the choice between a type and null into one type."""
    choices = [choice for choice in node["anyOf"] if choice.get("pattern") != BLANK]
    others = [choice for choice in choices if choice.get("type") != "null"]
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if len(others) == 1 and len(choices) == 2 and isinstance(others[0].get("type"), str) and "enum" not in others[0]:
        return {**others[0], **rest, "type": [others[0]["type"], "null"]}
    return {"anyOf": choices, **rest}


def _formatted(node: Node) -> Node:
    pattern = node.get("pattern")
    if not isinstance(pattern, str):
        return node
    if r"\u0000" in pattern:
        del node["pattern"]
        if node.get("maxLength", 0) > LINES:
            node["format"] = "multiline"
    elif pattern in PHONES:
        node["format"] = "phone"
    elif pattern.startswith(WEB):
        del node["pattern"]
        node["format"] = "uri"
    return node


def _same_on_both_sides(schemas: Schemas) -> dict[str, str]:
    """Put one schema in the place of two for requests and for answers. It requires what a request has to send."""
    renamed: dict[str, str] = {}
    for name in [name for name in schemas if name.endswith("-Input")]:
        one = name.removesuffix("-Input")
        schemas[one] = schemas.pop(name)
        schemas.pop(f"{one}-Output", None)
        renamed |= {name: one, f"{one}-Output": one}
    return renamed


def _one_form(schemas: Schemas) -> dict[str, str]:
    """Put one schema in the place of equal forms, which FastAPI names after their operations."""
    renamed: dict[str, str] = {}
    forms: dict[bytes, str] = {}
    for name in [name for name in schemas if name.startswith("Body_")]:
        text = to_json(schemas[name])
        if text not in forms:
            forms[text] = "".join(word.capitalize() for word in name.removeprefix("Body_").split("_")) + "Form"
            schemas[forms[text]] = schemas[name]
        renamed[name] = forms[text]
        del schemas[name]
    return renamed


def _with_hidden(schemas: Schemas) -> dict[str, str]:
    """Put one schema with an optional ``hidden`` in the place of two that differ by it."""
    renamed: dict[str, str] = {}
    for name in [name for name in schemas if name.startswith("Hidden")]:
        members = schemas[name].get("properties", {})
        shown = {key: value for key, value in members.items() if key != "hidden"}
        same = [other for other, one in schemas.items() if other != name and one.get("properties") == shown]
        if shown and same:
            schemas[same[0]]["properties"]["hidden"] = members["hidden"]
            del schemas[name]
            renamed[name] = same[0]
    return renamed


def _pointing(node: Node, renamed: Mapping[str, str]) -> Node:
    ref = node.get("$ref")
    if isinstance(ref, str) and ref.removeprefix(REF) in renamed:
        node["$ref"] = REF + renamed[ref.removeprefix(REF)]
    if "anyOf" in node:
        once = {str(choice): choice for choice in node["anyOf"]}
        node["anyOf"] = list(once.values())
        if len(once) == 1:
            return {**node.pop("anyOf")[0], **node}
    return node


def _but_text(schema: Node) -> Node:
    return {key: value for key, value in schema.items() if key not in ("description", "examples")}


def _named(node: Node, named: Schemas) -> Node:
    """Put a reference to a named set of choices in the place of the choices."""
    title = node.pop("title", None) if "enum" in node else None
    if title is None or not node.pop("x-extensible-enum", False):
        return node
    choices = {"type": "string", "enum": node["enum"], "x-extensible-enum": True}
    taken = named.setdefault(title, choices)
    if taken["enum"] != choices["enum"]:
        return node
    return {"$ref": REF + title, **{key: value for key, value in node.items() if key not in ("type", "enum")}}
