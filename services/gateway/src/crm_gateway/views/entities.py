"""``GET /meta/entities``: what all services tell about their records, in one answer that is kept for a while."""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from crm_gateway.documents.openapi import FRESH_SECONDS, INCOMPLETE_SECONDS
from crm_gateway.views.parts import Composer, Part
from crm_kit import clock
from crm_kit.http.entities import CONCERNS, EntityDescription
from crm_kit.http.requests import Route
from crm_kit.records.answers import matches
from crm_kit.store.presenter import to_json
from crm_language.languages import LANGUAGE

PATH = "/api/v1/meta/entities"


class AllEntities(BaseModel):
    """The entities of all services."""

    language: str = Field(description="The language of the labels.", examples=["ja"])
    items: list[EntityDescription] = Field(description="By service and name.")
    parts: dict[str, Part] = Field(description="By service.")


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in one language."""

    body: bytes
    etag: str
    until: float


router = APIRouter(prefix="/meta", tags=["meta"], route_class=Route)


@router.get("/entities", response_model=AllEntities, operation_id="list_entities")
async def list_entities(request: Request) -> Response:
    """Return every kind of record with its fields, filters, commands and states, as forms and lists need them.

    Labels are in the language of `Accept-Language`: en, ja, zh-Hans or zh-Hant. The answer is the same for every caller, has an
    ETag, and is kept for 30 s. A service that does not answer is `unavailable` in `parts`.
    """
    language = LANGUAGE.get()
    state = request.app.state
    if not hasattr(state, "entities"):
        state.entities, state.entities_lock = {}, asyncio.Lock()
    kept: dict[str, Kept] = state.entities
    async with state.entities_lock:
        if (found := kept.get(language)) is None or clock.monotonic() >= found.until:
            found = kept[language] = await _compose(request, language)
    headers = {**CONCERNS, "content-language": language, "etag": found.etag}
    if matches(request.headers.get("if-none-match"), found.etag.removeprefix("W/")):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type="application/json")


async def _compose(request: Request, language: str) -> Kept:
    composer, upstreams = Composer(request), request.app.state.upstreams
    told = await asyncio.gather(*(composer.ask_service(upstream, PATH) for upstream in upstreams.values()))
    # A service without records has no such path.
    parts = {
        name: one
        for name, one in zip(upstreams, told, strict=True)
        if one.error is None or one.error.slug != "not-found"
    }
    items: list[dict[str, Any]] = [item for one in parts.values() if one.error is None for item in one.value["items"]]
    items.sort(key=lambda item: (item["service"], item["entity"]))
    shown = {name: one.part(composer.cause) for name, one in parts.items()}
    body = to_json({"language": language, "items": items, "parts": shown})
    is_whole = all(one.error is None for one in parts.values())
    # Weak, because two answers with the same items were asked for at different moments.
    states = {name: part["status"] for name, part in shown.items()}
    digest = hashlib.sha256(to_json([language, items, states])).hexdigest()[:32]
    return Kept(body, f'W/"{digest}"', clock.monotonic() + (FRESH_SECONDS if is_whole else INCOMPLETE_SECONDS))
