"""What every operation has in common in the OpenAPI document: problems, headers, the security scheme, examples."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from orjson import loads as from_json

from crm_contracts.catalogue import entity_for
from crm_kit.http.problem_members import WITH_MEMBERS, OtherProblem
from crm_kit.http.problems import MEDIA_TYPE, Problem
from crm_kit.http.requests import PublicRoute, Route
from crm_kit.store.record import Mergeable, Record, Stateful
from crm_kit.store.references import references_of

MEANINGS = {
    400: "The request's syntax, a parameter, a filter or a cursor is wrong.",
    401: "The access token is missing, invalid, expired or superseded.",
    403: "You do not hold the privilege.",
    404: "There is no such record, or you may not see it.",
    405: "The path has no such method.",
    409: "The record's state forbids it; the problem says what is allowed.",
    410: "The record was merged; the problem links the survivor.",
    412: "The record has changed: If-Match names another version.",
    413: "The body is too large.",
    415: "The body's media type is not supported.",
    416: "The range begins after the end of the file.",
    422: "A rule says no, and `errors` points at the places; or a search would take too long (`too-expensive`).",
    428: "If-Match is missing.",
    429: "Too many requests; see Retry-After.",
    503: "Not now; see Retry-After.",
    504: "The deadline passed.",
}
ALWAYS = (400, 401, 403, 404, 422, 429, 503, 504)
WITH_BODY = (409, 412, 413, 415)

_VERSION = "[a-z_]{1,50}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@[0-9]{1,9}"

HEADERS: dict[str, dict[str, Any]] = {
    "If-Match": {
        "required": True,
        "schema": {"type": "string", "pattern": r'^(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)$'},
        "description": 'The record\'s ETag, such as "3"; `*` means: whatever it is now.',
        "example": "*",
    },
    "Idempotency-Key": {
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "description": "Makes a retry safe: the same key and body get the same answer for 24 hours.",
    },
    "Crm-After": {
        "required": False,
        "schema": {"type": "string", "pattern": rf"^{_VERSION}( *, *{_VERSION}){{0,9}}$"},
        "description": "Wait up to 2 s until this service knows these versions: the `Crm-Version` of an earlier answer, at most"
        " ten records.",
    },
}
"""Headers of requests."""

ANSWERED: dict[str, dict[str, Any]] = {
    "ETag": {
        "description": "The version, for If-Match and If-None-Match: strong for a record, weak (`W/`) for computed values.",
        "schema": {"type": "string"},
        "example": '"3"',
    },
    "Location": {
        "description": "Path of what was made: the record, or the job that makes the records.",
        "schema": {"type": "string"},
        "example": "/api/v1/leads/01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f",
    },
    "Crm-Version": {
        "description": "Every record that the request changed, with its new version; send it as `Crm-After`. Absent if nothing"
        " changed.",
        "schema": {"type": "string"},
        "example": "lead/01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f@3",
    },
    "Idempotent-Replayed": {
        "description": "`true` on an answer that was kept for an Idempotency-Key and is given again.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Retry-After": {
        "description": "Seconds until the next attempt can succeed.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "Deprecation": {
        "description": "When the operation became deprecated (RFC 9745).",
        "schema": {"type": "string"},
        "example": "@1767225600",
    },
}
"""Headers of answers."""


def describe_problems(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, completed; made once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, routes=app.routes, summary=app.summary)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    models: list[type[Problem]] = [OtherProblem, *WITH_MEMBERS.values()]
    for model in models:
        described = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(described.pop("$defs"))
        schemas[model.__name__] = described
    for name, example in written_examples(app).items():
        if name in schemas:
            schemas[name]["examples"] = [example]
    document["components"]["headers"] = {name: dict(header) for name, header in ANSWERED.items()}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "From POST /auth/token."}
    }
    routes = routes_of(app)
    public = {name for name, route in routes.items() if isinstance(route, PublicRoute)}
    keyed = {name for name, route in routes.items() if isinstance(route, Route) and route.is_keyed}
    kinds = {entity.entity(): entity for entity in app.state.service.entities}
    mergeable = _mergeable(app)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(
                method,
                operation,
                public=operation.get("operationId") in public,
                keyed=operation.get("operationId") in keyed,
                may_be_merged=path.startswith(mergeable),
            )
            route = routes.get(operation.get("operationId"))
            about = [kinds[name] for name in getattr(route, "entities", ()) if name in kinds]
            _show_references(operation, schemas, about)
            _tell_of_states(path, method, operation, about)
            _show_headers(method, operation, schemas)
            if (made := getattr(getattr(route, "endpoint", None), "documented_parameters", None)) is not None:
                parameters, shared = made()
                operation["parameters"] = [*operation.get("parameters", []), *parameters]
                schemas.update(shared)
    app.openapi_schema = document
    return document


def _show_references(operation: dict[str, Any], schemas: dict[str, Any], kinds: Sequence[type[Record]]) -> None:
    """``x-reference``: the entities of which a field of the body or the answer names a record; ``*`` is any entity."""
    fields = {found.field: found for kind in kinds for found in references_of(kind).values()}
    bodies = [operation.get("requestBody", {}), *(operation["responses"].get(code, {}) for code in ("200", "201"))]
    for described in (media["schema"] for body in bodies for media in body.get("content", {}).values()):
        properties = _properties(described, schemas)
        listed = properties.get("items", {}).get("items", {})
        for name, field in (*properties.items(), *_properties(listed, schemas).items()):
            if name in fields:
                field["x-reference"] = list(fields[name].to)


def _properties(described: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """The fields of a schema that is named; of one that may be null, too."""
    named = next((one["$ref"] for one in (described, *described.get("anyOf", ())) if "$ref" in one), "")
    found: dict[str, Any] = schemas.get(named.rpartition("/")[2], {}).get("properties", {})
    return found


def written_examples(app: FastAPI) -> dict[str, Any]:
    """The examples of answers by the name of their schema: ``examples.json`` beside the routes and models (ADR 81)."""
    packages = {"crm_kit.http"}
    for route in routes_of(app).values():
        for one in (route.endpoint, getattr(route, "response_model", None)):
            packages.add(getattr(one, "__module__", "").rpartition(".")[0])
    found: dict[str, Any] = {}
    for package in sorted(packages - {""}):
        file = files(package) / "examples.json"
        if file.is_file():
            found |= from_json(file.read_bytes())
    return found


def routes_of(app: FastAPI) -> dict[str, Any]:
    """An app's routes by the id of their operation."""
    found: dict[str, Any] = {}

    def walk(routes: Any) -> None:
        for route in routes:
            if getattr(route, "operation_id", None):
                found[route.operation_id] = route
            inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
            if inner:
                walk(inner)

    walk(app.routes)
    return found


def told(code: int) -> dict[str, Any]:
    """How a problem is described; for an operation that has one which the others have not (``responses=``)."""
    name = WITH_MEMBERS.get(code, OtherProblem).__name__
    described = {
        "description": MEANINGS[code],
        "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{name}"}}},
    }
    return {**described, "headers": _headers("Retry-After")} if code in (429, 503) else described


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _show_headers(method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """The headers of the answers to an operation that has become what it was asked for."""
    taken = {parameter["name"] for parameter in operation.get("parameters", [])}
    asks = method == "get" or "Crm-After" not in taken or operation.get("x-not-keyed", False)
    asks = asks or operation["operationId"].startswith("query_")
    for code, response in operation["responses"].items():
        if not code.startswith("2"):
            continue
        names = [] if asks else ["Crm-Version"]
        shown = [media.get("schema", {}) for media in response.get("content", {}).values()]
        if any(
            {"version", "id"} <= _properties(one, schemas).keys() or "as_of" in _properties(one, schemas)
            for one in shown
        ):
            names.append("ETag")
        if code in ("201", "202"):
            names.append("Location")
        if "Idempotency-Key" in taken:
            names.append("Idempotent-Replayed")
        if operation.get("deprecated"):
            names.append("Deprecation")
        if names:
            response.setdefault("headers", {}).update(_headers(*names))


def _tell_of_states(path: str, method: str, operation: dict[str, Any], about: Sequence[type[Record]]) -> None:
    """Name the problem of a state that forbids the operation, wherever a table of states decides."""
    verb = path.rpartition("/")[2]
    moves = method == "post" and any(issubclass(kind, Stateful) and verb in kind.lifecycle.moves for kind in about)
    told = operation.get("description", "")
    if moves and "`illegal-transition`" not in told:
        operation["description"] = f"{told}\n\n409 `illegal-transition` if the status allows no `{verb}`.".lstrip()


def _mergeable(app: FastAPI) -> tuple[str, ...]:
    """How the paths of records begin that may be merged."""
    names = (entity.entity() for entity in app.state.service.entities if issubclass(entity, Mergeable))
    return tuple(f"/api/v1/{found.collection}/{{" for name in names if (found := entity_for(name)))


def _complete(method: str, operation: dict[str, Any], *, public: bool, keyed: bool, may_be_merged: bool) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    codes = set(ALWAYS)
    if method in ("post", "patch", "delete", "put"):
        codes |= set(WITH_BODY)
    if method in ("patch", "delete") and not public:
        codes.add(428)
    if may_be_merged:
        codes.add(410)
    for code in sorted(codes):
        responses.setdefault(
            str(code),
            told(code),
        )
    if public:
        return
    operation["security"] = [{"bearer": []}]
    parameters = operation.setdefault("parameters", [])
    names = ["Crm-After"]
    if method in ("patch", "delete"):
        names.insert(0, "If-Match")
    if keyed:
        names.insert(0, "Idempotency-Key")
    parameters += [{"name": name, "in": "header", **HEADERS[name]} for name in names]
