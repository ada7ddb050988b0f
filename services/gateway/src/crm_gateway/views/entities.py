"""``GET /meta/entities``: what all services tell about their records, in one answer that is kept for a while."""

import asyncio
import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from crm_gateway.documents.openapi import FRESH_SECONDS, INCOMPLETE_SECONDS
from crm_gateway.views.parts import Composer, Part
from crm_kit import clock
from crm_kit.http.entities import CONCERNS, EntityDescription
from crm_kit.http.problems import status_of
from crm_kit.http.requests import ANSWERING_PART, Route
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
    until: float | None
    """The moment (monotonic clock) at which it is asked for again; None if it is for one caller alone."""
    is_whole: bool

    @property
    def is_old(self) -> bool:
        """Whether it is to be asked for again."""
        return self.until is None or clock.monotonic() >= self.until


THE_CALLERS: Final = frozenset({401, 403, 429, 504})
"""The statuses of parts that may fail for the caller alone, or for a moment without time."""

router = APIRouter(prefix="/meta", tags=["meta"], route_class=Route)


@router.get("/entities", response_model=AllEntities, operation_id="list_entities")
async def list_entities(request: Request) -> Response:
    """Return every kind of record with its fields, filters, commands and states, as forms and lists need them.

    Labels are in the language of `Accept-Language`: en, ja, zh-Hans or zh-Hant. The answer is the same for every caller, has an
    ETag, and is kept for 30 s. A service that does not answer is `unavailable` in `parts`, unless it
    answered before.
    """
    language = LANGUAGE.get()
    state = request.app.state
    if not hasattr(state, "entities"):
        state.entities, state.entities_lock = {}, asyncio.Lock()
    kept: dict[str, Kept] = state.entities
    async with state.entities_lock:
        if (found := kept.get(language)) is None or found.is_old:
            found = await _renewed(request, language, found)
            if found.until is not None:
                kept[language] = found
    headers = {**CONCERNS, "content-language": language, "etag": found.etag}
    if matches(request.headers.get("if-none-match"), found.etag.removeprefix("W/")):
        return Response(status_code=304, headers=headers)
    return Response(found.body, headers=headers, media_type="application/json")


async def _renewed(request: Request, language: str, earlier: Kept | None) -> Kept:
    """Return a new answer. An earlier whole one is better than one in which a service is missing, and is kept a while longer."""
    found = await _compose(request, language)
    if found.is_whole or earlier is None or not earlier.is_whole:
        return found
    return replace(earlier, until=clock.monotonic() + INCOMPLETE_SECONDS)


async def _compose(request: Request, language: str) -> Kept:
    upstreams = request.app.state.upstreams
    # The time of a hurried caller would make an answer for all in which services are missing.
    composer = Composer(request, seconds=request.app.state.runtime.settings.hop_seconds * ANSWERING_PART)
    told = await asyncio.gather(*(composer.ask_items(upstream, PATH) for upstream in upstreams.values()))
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
    errors = [one.error for one in parts.values() if one.error is not None]
    seconds = INCOMPLETE_SECONDS if errors else FRESH_SECONDS
    is_for_all = not any(status_of(error.slug) in THE_CALLERS for error in errors)
    # Weak, because two answers with the same items were asked for at different moments.
    states = {name: part["status"] for name, part in shown.items()}
    digest = hashlib.sha256(to_json([language, items, states])).hexdigest()[:32]
    return Kept(body, f'W/"{digest}"', clock.monotonic() + seconds if is_for_all else None, not errors)
