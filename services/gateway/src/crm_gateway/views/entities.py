"""``GET /meta/entities``: what all services tell about their records, kept for a while; of all entities, or of one."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from crm_gateway.documents.openapi import FRESH_SECONDS, INCOMPLETE_SECONDS
from crm_gateway.views.parts import Composer, Part
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.http.deadlines import ANSWERING_PART
from crm_kit.http.entities import CONCERNS, EntityDescription
from crm_kit.http.problems import status_of
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
    """What is told in one language."""

    language: str
    items: Mapping[str, bytes]
    """As JSON, by entity."""
    parts: bytes
    etag: str
    until: float | None
    """The moment (monotonic clock) at which it is asked for again; None if it is for one caller alone."""
    is_whole: bool

    @property
    def body(self) -> bytes:
        """The answer about all entities."""
        items = b",".join(self.items.values())
        return b'{"language":%b,"items":[%b],"parts":%b}' % (to_json(self.language), items, self.parts)

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
    found = await _told(request)
    return _answer(request, found, found.etag, found.body)


@router.get("/entities/{entity}", response_model=EntityDescription, operation_id="get_entity")
async def get_entity(request: Request, entity: str) -> Response:
    """Return one kind of record, as the list of all has it. `entity` is its singular name, such as `sales_contract`.

    404 `not-found` for a kind that there is not; 503 `unavailable` while a service that may have it does not answer.
    """
    found = await _told(request)
    body = found.items.get(entity)
    if body is None and not found.is_whole:
        raise DomainError("unavailable", "A service that may have this kind of record does not answer. Try again.")
    if body is None:
        raise DomainError("not-found", "There is no such kind of record. GET /api/v1/meta/entities lists all.")
    return _answer(request, found, f'W/"{_digest(found.language, body)}"', body)


def _answer(request: Request, found: Kept, etag: str, body: bytes) -> Response:
    headers = {**CONCERNS, "content-language": found.language, "etag": etag}
    if matches(request.headers.get("if-none-match"), etag.removeprefix("W/")):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


async def _told(request: Request) -> Kept:
    """Return what is told in the language of the request, at most 30 s old."""
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
    return found


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
    errors = [one.error for one in parts.values() if one.error is not None]
    seconds = INCOMPLETE_SECONDS if errors else FRESH_SECONDS
    is_for_all = not any(status_of(error.slug) in THE_CALLERS for error in errors)
    # Weak, because two answers with the same items were asked for at different moments.
    states = {name: part["status"] for name, part in shown.items()}
    etag = f'W/"{_digest(language, to_json([items, states]))}"'
    until = clock.monotonic() + seconds if is_for_all else None
    described = {item["entity"]: to_json(item) for item in items}
    return Kept(language, described, to_json(shown), etag, until, not errors)


def _digest(language: str, body: bytes) -> str:
    return hashlib.sha256(language.encode() + b"\n" + body).hexdigest()[:32]
