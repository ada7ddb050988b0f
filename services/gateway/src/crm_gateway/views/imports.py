"""``GET /imports``: the imports of all services in one list."""

import asyncio
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from crm_contracts.sentences import said
from crm_gateway.proxy.breaker import Unavailable
from crm_gateway.routes import IMPORTING
from crm_gateway.views.parts import Composer, Part, Told
from crm_kit import clock
from crm_kit.http.requests import Route
from crm_kit.importing.forms import JobsAfter, JobsEntity, JobsLimit, JobsStatus
from crm_kit.importing.jobs import ImportJob
from crm_kit.records.answers import READ_HEADERS
from crm_kit.records.listing import DEFAULT_PAGE
from crm_kit.store.presenter import to_json

PATH = "/api/v1/imports"


class AllImports(BaseModel):
    """A page of the imports of all services."""

    items: list[ImportJob] = Field(description="Newest first.")
    next: str | None = Field(description="Send it as `after` for the next page; null on the last one.")
    parts: dict[str, Part] = Field(description="By service. The imports of an unavailable one are missing.")


router = APIRouter(prefix="/imports", tags=["imports"], route_class=Route)


@router.get("", response_model=AllImports, operation_id="list_imports")
async def list_imports(
    request: Request,
    limit: JobsLimit = DEFAULT_PAGE,
    after: JobsAfter = None,
    status: JobsStatus = None,
    entity: JobsEntity = None,
) -> Response:
    """Your imports, newest first, and all imports of those kinds of record of which you may read every one.

    `href` is the path of a job, `href/errors` what was refused. A service that does not answer is `unavailable` in `parts`.
    """
    asked = {"limit": limit, "after": after, "status": status, "entity": entity}
    target = f"{PATH}?{urlencode({name: value for name, value in asked.items() if value is not None})}"
    composer = Composer(request)
    told = await asyncio.gather(*(_ask(composer, request, name, target) for name in IMPORTING))
    lists = [one.value for one in told if one.error is None]
    items = sorted((item for one in lists for item in one["items"]), key=lambda item: str(item["id"]), reverse=True)
    more = len(items) > limit or any(one["next"] is not None for one in lists)
    shown: dict[str, Any] = {
        "items": items[:limit],
        "next": items[limit - 1]["id"] if more and len(items) >= limit else None,
        "parts": {name: one.part(composer.cause) for name, one in zip(IMPORTING, told, strict=True)},
    }
    return Response(to_json(shown), 200, READ_HEADERS, "application/json")


async def _ask(composer: Composer, request: Request, name: str, target: str) -> Told:
    upstream = request.app.state.upstreams.get(name)
    if upstream is None:
        gone = Unavailable(said("The service '{service}' is not part of this installation.", service=name))
        return Told(target, clock.now(), error=gone)
    return await composer.ask_items(upstream, target, "next")
