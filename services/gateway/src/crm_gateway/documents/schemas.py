"""The contracts of the events, for subscribers: JSON Schema by type (an event's ``dataschema``) and AsyncAPI."""

from functools import cache
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_contracts.asyncapi import document
from crm_contracts.catalogue import all_events, event_for
from crm_contracts.envelope import dataschema_of
from crm_contracts.schemas import event_schema
from crm_gateway.kept import Kept
from crm_kit.errors import DomainError
from crm_kit.http.requests import PublicRoute
from crm_kit.process.runtime import Runtime
from crm_kit.store.presenter import to_json

HEADERS: Final = {"cache-control": "public, max-age=300", "access-control-allow-origin": "*"}

router = APIRouter(include_in_schema=False, route_class=PublicRoute)


@router.get("/schemas")
async def schemas(request: Request) -> Response:
    """Every event type with its `dataschema`, and the path of its schema at this gateway."""
    base = _base(request)
    items = [
        {
            "type": event.type,
            "summary": event.summary(),
            "dataschema": dataschema_of(event.type, base),
            "schema": dataschema_of(event.type, "/schemas/"),
        }
        for event in all_events()
    ]
    return Response(to_json({"items": items}), headers=HEADERS, media_type="application/json")


@router.get("/schemas/{name}")
async def schema(request: Request, name: str) -> Response:
    """The schema of the data of one event type. Its `$id` is the `dataschema` of the type's events."""
    event = event_for(name.removesuffix(".json")) if name.endswith(".json") else None
    if event is None:
        raise DomainError("not-found", "There is no such event type. GET /schemas lists all types.")
    document = to_json(event_schema(event, _base(request)))
    return Response(document, headers=HEADERS, media_type="application/schema+json")


def _base(request: Request) -> str:
    runtime: Runtime = request.app.state.runtime
    return runtime.settings.schemas


@router.get("/asyncapi.json")
async def asyncapi(request: Request) -> Response:
    """All events as one AsyncAPI 3.0 document."""
    return await ASYNCAPI.answer(request)


@cache
def _asyncapi() -> bytes:
    return to_json(document())


ASYNCAPI: Final = Kept(_asyncapi, "application/json", HEADERS)
