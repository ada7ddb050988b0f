"""``GET /search``: records of every kind that the caller may read, from all services, in one answer."""

import asyncio
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from crm_gateway.views.parts import Composer, Part
from crm_kit.finding import FoundPart, SearchLimit, SearchText, best
from crm_kit.http.requests import Route
from crm_kit.records.listing import check_text
from crm_kit.store.presenter import to_json

PATH: Final = "/api/v1/search"
SEARCHED: Final = ("sales", "service", "activities", "marketing")
"""The services with records that people look for by text."""


EXAMPLE: Final[dict[str, Any]] = {
    "items": [
        {
            "type": "contact",
            "id": "01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f",
            "name": "Ada Lovelace",
            "number": "CON-00042",
            "email": "ada@example.org",
            "phone": "+493055500010",
            "status": "active",
            "created_at": "2026-05-04T09:30:00Z",
            "href": "/api/v1/contacts/01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f",
            "rank": 4,
        }
    ],
    "missing": [],
    "parts": {name: {"status": "ok", "as_of": "2026-05-04T09:30:00Z"} for name in SEARCHED},
}


class Search(FoundPart):
    """Records of every kind. A service that does not answer is `unavailable` in `parts`, and its records are missing."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    parts: dict[str, Part] = Field(description="By service.")


router = APIRouter(prefix="/search", tags=["search"], route_class=Route)


@router.get("", response_model=Search, operation_id="search_records")
async def search_records(request: Request, q: SearchText, limit: SearchLimit = 20) -> Response:
    """Records that you may read and that have all words of `q` in name, number, e-mail address, phone or customer.

    The likeliest are first, and of equal rank the newest. Of each kind the newest 50 with the words are ranked; the lists of a
    kind find all of them with the same `q`. The parts share one deadline: 2.55 s, or your `Crm-Deadline-Ms`.
    """
    check_text(q)
    composer, upstreams = Composer(request), request.app.state.upstreams
    asked = {name: upstream for name, upstream in upstreams.items() if name in SEARCHED}
    target = f"{PATH}?{urlencode({'q': q, 'limit': limit}, quote_via=quote)}"
    told = await asyncio.gather(*(composer.ask_items(upstream, target) for upstream in asked.values()))
    items = best([item for one in told if one.error is None for item in one.value["items"]], limit)
    missing = [kind for one in told if one.error is None for kind in one.value.get("missing", ())]
    parts = {name: one.part(composer.cause) for name, one in zip(asked, told, strict=True)}
    headers = {"cache-control": "no-store"}
    return Response(
        to_json({"items": items, "missing": missing, "parts": parts}), headers=headers, media_type="application/json"
    )
