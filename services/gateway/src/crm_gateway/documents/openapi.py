"""The OpenAPI document of the whole API, merged from those of the services."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_gateway.documents.areas import grouped
from crm_gateway.documents.compacting import compacted, one_problem, operations
from crm_gateway.documents.examples import give_examples
from crm_gateway.documents.publishing import published
from crm_gateway.documents.sharing import pages_with_fields, share_alike, share_fields, share_pages
from crm_gateway.documents.texts import briefly, name_problems
from crm_gateway.kept import Kept
from crm_gateway.proxy.upstream import Upstream, Upstreams
from crm_gateway.routes import PREFIX, upstream_of
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.store.presenter import to_json

FRESH_SECONDS: Final = 30.0
INCOMPLETE_SECONDS: Final = 2.0
"""How long a document without one of the services is valid."""

INTRODUCTION: Final = (
    "The CRM's API. Log in with `POST /api/v1/auth/token` and send the token as `Authorization: Bearer`.\n\n"
    "Errors are problem documents (RFC 9457); `type` leads to an explanation. A write needs the record's `ETag` as `If-Match`,"
    " and an `Idempotency-Key` makes it safe to repeat. A list takes its filters as `field=value` or `field[operator]=value`; the"
    " parameters of each list name the fields. Every answer has `RateLimit`, and one of a deprecated operation has `Deprecation`."
    " Events are described by `/asyncapi.json`. `/openapi.json` is for programs: it has the first sentence of each text, and an"
    " operation's problems as `x-problems`. `/docs/openapi.json` is the same with whole texts and examples."
)

_REF: Final = "#/components/"

Document = dict[str, Any]

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Return the document of the whole API for programs. A service that does not answer is listed in ``x-unavailable``."""
    merged = await read(request)
    return await merged.brief.answer(request, merged.headers)


@dataclass(frozen=True, slots=True)
class Merged:
    """A document made from those of the services ``sources``."""

    whole: Kept
    """With all its texts, for people."""
    brief: Kept
    """With the first sentences of its texts, for programs (ADR 81)."""
    body: bytes
    """The whole one."""
    sources: Mapping[str, bytes]
    is_complete: bool

    @property
    def seconds(self) -> float:
        """How long it is valid."""
        return FRESH_SECONDS if self.is_complete else INCOMPLETE_SECONDS

    @property
    def headers(self) -> dict[str, str]:
        """What caches are told."""
        return {"cache-control": f"public, max-age={int(self.seconds)}"}


async def read(request: Request) -> Merged:
    """Return the merged document, at most 30 s old."""
    state = request.app.state
    if not hasattr(state, "openapi_cache"):
        state.openapi_cache = Cache(request.app.openapi())
    cache: Cache = state.openapi_cache
    return await cache.read(state.upstreams)


@dataclass
class Cache:
    """The last merged document."""

    own: Document
    _until: float = float("-inf")
    _last: Merged | None = None
    _merging: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, upstreams: Upstreams) -> Merged:
        """Read the documents of all services concurrently when the last read is too old.

        Merge again if one of them changed.
        """
        async with self._merging:
            if self._last is None or clock.monotonic() >= self._until:
                fetched = await asyncio.gather(*(_fetch(upstream) for upstream in upstreams.values()))
                sources = {name: body for name, body in zip(upstreams, fetched, strict=True) if body is not None}
                unavailable = sorted(upstreams.keys() - sources.keys())
                if self._last is None or sources != self._last.sources:
                    # It takes a good part of a second, in which others go on.
                    self._last = await asyncio.to_thread(_merged, self.own, sources, unavailable)
                self._until = clock.monotonic() + self._last.seconds
            return self._last


def _merged(own: Document, sources: Mapping[str, bytes], unavailable: list[str]) -> Merged:
    documents = {name: orjson.loads(body) for name, body in sources.items()}
    document = finish(merge(own, documents, unavailable))
    whole, brief = to_json(document), to_json(briefly(document))
    return Merged(
        Kept(lambda: whole, "application/json", {}),
        Kept(lambda: brief, "application/json", {}),
        whole,
        sources,
        not unavailable,
    )


async def _fetch(upstream: Upstream) -> bytes | None:
    try:
        answer = await upstream.fetch("/openapi.json", [("accept", "application/json")])
    except DomainError:
        return None
    return answer.body if answer.status == 200 else None


def merge(own: Document, documents: Mapping[str, Document], unavailable: list[str]) -> Document:
    """Merge the gateway's own document with those paths of each service that the gateway routes to it.

    If services describe a component differently, it is renamed in each of them to ``<Service><Name>``. A component that
    all describe alike is shared. The result does not depend on the order of the documents.
    """
    result: Document = {
        **own,
        "info": {
            "title": "Liaison",
            "version": own["info"]["version"],
            "description": INTRODUCTION,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This gateway."}],
        "paths": {},
        "components": {},
        "x-unavailable": unavailable,
    }
    parts = {"gateway": published(own), **{name: published(documents[name]) for name in sorted(documents)}}
    renamed = _renames(parts)
    for service, document in parts.items():
        kept = document if service == "gateway" else {**document, "paths": _routed(service, document)}
        moved = _moved(kept, renamed[service])
        result["paths"].update(moved.get("paths", {}))
        for kind, named in document.get("components", {}).items():
            place = result["components"].setdefault(kind, {})
            for name, component in named.items():
                place[renamed[service].get((kind, name), name)] = _moved(component, renamed[service])
    schemas = result["components"].get("schemas", {})
    result["paths"] = _described(result["paths"], schemas)
    schemas = result["components"]["schemas"] = _described(schemas, schemas)
    result["paths"] = dict(sorted(result["paths"].items()))
    result["components"] = {kind: dict(sorted(named.items())) for kind, named in sorted(result["components"].items())}
    return result


def finish(document: Document) -> Document:
    """Complete a merged document: areas of work, examples, and what many parts have alike as components (ADR 68)."""
    schemas = document["components"].setdefault("schemas", {})
    name_problems(document)
    one_problem(schemas)
    share_fields(schemas, set(pages_with_fields(operations(document))))
    give_examples(document)
    share_pages(schemas)
    share_alike(schemas)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    used = (tag for operation in operations(document) for tag in operation.get("tags", ()))
    return compacted({**document, **grouped(used)})


def _routed(service: str, document: Document) -> Document:
    """Return the paths that the gateway routes to the service."""
    paths: Document = document.get("paths", {})
    return {path: item for path, item in paths.items() if path.startswith(PREFIX) and upstream_of(path) == service}


def _described(node: Any, schemas: Mapping[str, Any]) -> Any:
    """Replace ``x-schema`` in the gateway's schemas by a reference to the service's schema, if that service answered."""
    if isinstance(node, list):
        return [_described(value, schemas) for value in node]
    if not isinstance(node, dict):
        return node
    name = node.get("x-schema")
    if isinstance(name, str):
        return {"$ref": f"{_REF}schemas/{name}"} if name in schemas else {"type": "object"}
    return {key: _described(value, schemas) for key, value in node.items()}


Component = tuple[str, str]
"""The kind (``schemas``) and the name of a component."""


def _renames(parts: Mapping[str, Document]) -> dict[str, dict[Component, str]]:
    owners: dict[Component, list[str]] = {}
    for service, document in parts.items():
        for kind, named in document.get("components", {}).items():
            for name in named:
                owners.setdefault((kind, name), []).append(service)
    shared = {component: services for component, services in owners.items() if len(services) > 1}
    differing: set[Component] = set()
    while True:
        # A component that refers to a differing component differs as well, even if its own text is equal.
        more = {
            component
            for component, services in shared.items()
            if component not in differing and _differs(component, services, parts, differing)
        }
        if not more:
            break
        differing |= more
    return {
        service: {
            (kind, name): f"{service.capitalize()}{name}" for kind, name in differing if service in shared[kind, name]
        }
        for service in parts
    }


def _differs(
    component: Component, services: list[str], parts: Mapping[str, Document], differing: set[Component]
) -> bool:
    kind, name = component
    texts = [parts[service]["components"][kind][name] for service in services]
    return any(text != texts[0] for text in texts[1:]) or any(ref in differing for ref in references(texts[0]))


def references(node: Any) -> Iterator[Component]:
    """Yield all components that a part of a document refers to."""
    if isinstance(node, dict):
        ref = node.get("$ref")
        if isinstance(ref, str) and ref.startswith(_REF):
            kind, _, name = ref[len(_REF) :].partition("/")
            yield kind, name
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def _moved(node: Any, renamed: Mapping[Component, str]) -> Any:
    if isinstance(node, list):
        return [_moved(value, renamed) for value in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _new_ref(value, renamed) if _is_ref(key, value) else _moved(value, renamed) for key, value in node.items()
    }


def _is_ref(key: str, value: Any) -> bool:
    return key == "$ref" and isinstance(value, str) and value.startswith(_REF)


def _new_ref(ref: str, renamed: Mapping[Component, str]) -> str:
    kind, _, name = ref[len(_REF) :].partition("/")
    return f"{_REF}{kind}/{renamed.get((kind, name), name)}"
