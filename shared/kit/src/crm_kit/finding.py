"""A service's part of ``GET /search``: records of all its kinds that contain the words, the likeliest first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from crm_contracts.catalogue import Entity, entity_named
from crm_contracts.types import Personal, UtcDatetime
from crm_kit.errors import DomainError
from crm_kit.folding import LEAST_DIGITS, digits_of, folded, number_of, spaced
from crm_kit.http.requests import Route, Uow
from crm_kit.process.runtime import Service
from crm_kit.records.listing import (
    MAX_SEARCH,
    NARROWER,
    Listing,
    check_text,
    is_slow_text,
    newest_with,
    searchable,
)
from crm_kit.store.presenter import to_json
from crm_kit.work.uow import UnitOfWork

COMPARED: Final = 50
"""The number of newest records of each kind that are ranked. If more records have the words, the list of the kind has them."""
MOST: Final = 50

SearchText = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_SEARCH,
        description="Words to find, of which a record must have each: parts of names, numbers, e-mail addresses or phones.",
    ),
]
SearchLimit = Annotated[int, Query(ge=1, le=MOST, description=f"The most records, 1 to {MOST}.")]


class FoundRecord(BaseModel):
    """A record that a search found."""

    type: str = Field(description="What it is, as in references.", examples=["contact"])
    id: UUID = Field(description="Its id.")
    name: Personal[str | None] = Field(description="Its name.", examples=["Ada Lovelace"])
    number: str | None = Field(description="Its readable number, if it has one.", examples=["CON-00042"])
    email: Personal[str | None] = Field(description="Its e-mail address, if it has one.")
    phone: Personal[str | None] = Field(description="Its telephone number in E.164, if it has one.")
    status: str | None = Field(description="Its status, if it has one.", examples=["active"])
    created_at: UtcDatetime = Field(description="When it was made.")
    href: str = Field(description="Its path.", examples=["/api/v1/contacts/01970c7e-9d4b-7c51-8f6e-2b1a3c4d5e6f"])
    rank: int = Field(
        ge=1,
        le=4,
        description="4: number, name, e-mail address or phone is what was typed; 3: the name begins with it; 2: words of the"
        " name begin with its words; 1: it is somewhere in the text.",
    )


class FoundPart(BaseModel):
    """The records of one service."""

    items: list[FoundRecord] = Field(description="The likeliest first; of equal rank the newest.")
    missing: list[str] = Field(
        description="Kinds of record that would have taken too long, so that their records are missing.",
        examples=[["contact"]],
    )


def search_router(service: Service) -> APIRouter:
    """``GET /search`` of one service, in all lists of its entities that can be searched. The gateway composes those of all
    services."""
    router = APIRouter(prefix="/search", tags=["search"], route_class=Route)

    @router.get("", response_model=FoundPart, operation_id="search_records")
    async def search_records(uow: Uow, q: SearchText, limit: SearchLimit = 20) -> Response:
        """Records of this service that you may read and that have all words of `q`, the likeliest first."""
        return await found_in(uow, searchable(service.entities), q, limit)

    return router


async def found_in(uow: UnitOfWork, listings: Sequence[Listing], q: str, limit: int) -> Response:
    """Answer with the records of these lists that the caller may read.

    If the time is over, the lists that are not done are ``missing``. Raises 400 ``invalid-parameter``, and the errors of
    ``uow.reads`` if no list is done.
    """
    check_text(q)
    found: list[dict[str, Any]] = []
    done = 0

    async def look() -> None:
        nonlocal done
        for listing in listings[done:]:
            kind = entity_named(listing.entity.entity())
            found.extend(told(kind, row, q) for row in await newest_with(uow, listing, q, COMPARED))
            done += 1

    try:
        if is_slow_text(q):
            async with uow.reads.slowly(NARROWER):
                await look()
        else:
            await uow.reads.quickly(look, NARROWER)
    except DomainError as error:
        if error.slug != "too-expensive" or not done:
            raise
    missing = [listing.entity.entity() for listing in listings[done:]]
    return Response(
        to_json({"items": best(found, limit), "missing": missing}),
        headers={"cache-control": "no-store"},
        media_type="application/json",
    )


def best(items: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Return the likeliest first; of equal rank the newest."""
    return sorted(items, key=_order, reverse=True)[:limit]


def _order(item: Mapping[str, Any]) -> tuple[int, datetime, str]:
    at = item["created_at"]
    return item["rank"], datetime.fromisoformat(at) if isinstance(at, str) else at, str(item["id"])


def told(kind: Entity, row: Mapping[str, Any], q: str) -> dict[str, Any]:
    """Return a row as ``FoundRecord``."""
    phone = row.get("phone") or row.get("mobile_phone") or row.get("phone_number")
    shown = {"number": row.get("number"), "email": row.get("email"), "phone": phone, "status": row.get("status")}
    found = {"type": kind.name, "id": row["id"], "name": kind.name_of(row), **shown, "created_at": row["created_at"]}
    return {**found, "href": kind.path_of(row["id"]), "rank": rank(found, q)}


def rank(found: Mapping[str, Any], q: str) -> int:
    """Return how well a record fits, 1 to 4 as in ``FoundRecord``."""
    wanted, name = _plain(q), _plain(found["name"] or "")
    digits = digits_of(q)
    is_phone = len(digits) >= LEAST_DIGITS and (found["phone"] or "").endswith(digits)
    if wanted in (name, _plain(found["number"] or ""), _plain(found["email"] or "")) or is_phone:
        return 4
    if found["number"] is not None and found["number"] == number_of(q):
        return 4
    if name.startswith(wanted):
        return 3
    words = f" {name}"
    return 2 if all(f" {word}" in words for word in wanted.split()) else 1


def _plain(text: str) -> str:
    return " ".join(spaced(folded(text)).split())
