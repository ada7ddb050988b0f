"""The HTTP face of competitors."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.computed import computed
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment, Deactivation
from crm_sales.competitor import commands
from crm_sales.competitor.figures import figures_of
from crm_sales.competitor.model import Competitor
from crm_sales.competitor.schemas import (
    CompetitorCreate,
    CompetitorFigures,
    CompetitorRead,
    CompetitorUpdate,
)

router = APIRouter(prefix="/competitors", tags=["competitors"], route_class=about(Competitor))

COMPETITORS = Listing(Competitor, sortable=("created_at", "modified_at", "name"), search="search_text")


@router.get("", response_model=Page[CompetitorRead], operation_id="list_competitors")
@lists(COMPETITORS)
async def list_competitors(request: Request, uow: Uow) -> Response:
    """Competitors you may read: filter, search name and website with `q`, sort by created_at, modified_at or name, page.

    `product_ids[contains]=<id>` finds who competes with a product.
    """
    return await list_records(uow, COMPETITORS, request)


@router.post("/query", response_model=Page[CompetitorRead], operation_id="query_competitors")
async def query_competitors(query: Query, uow: Uow) -> Response:
    """Competitors by a JSON filter with and, or, not."""
    return await query_records(uow, COMPETITORS, query)


@router.post("", response_model=CompetitorRead, status_code=201, operation_id="create_competitor")
async def create_competitor(body: CompetitorCreate, uow: Uow) -> Response:
    """A new competitor, owned by you. 422 `unknown-reference` for a product that you may not read or that is not there."""
    return await created(uow, await commands.create_competitor(uow, body))


@router.get("/{competitor_id}", response_model=CompetitorRead, operation_id="get_competitor")
async def get_competitor(competitor_id: UUID, request: Request, uow: Uow) -> Response:
    """One competitor, with its version as ETag."""
    return await read(uow, Competitor, competitor_id, request)


@router.patch("/{competitor_id}", response_model=CompetitorRead, operation_id="update_competitor")
async def update_competitor(competitor_id: UUID, body: CompetitorUpdate, uow: Uow) -> Response:
    """Change fields of an active competitor (RFC 7396 merge patch); `product_ids` is replaced as a whole."""
    return await one(uow, await commands.update_competitor(uow, competitor_id, body))


@router.delete("/{competitor_id}", status_code=204, operation_id="delete_competitor")
async def delete_competitor(competitor_id: UUID, uow: Uow) -> Response:
    """Delete a competitor; 409 `in-use` lists the opportunities and the sales literature that name it."""
    await commands.delete_competitor(uow, competitor_id)
    return gone()


@router.get("/{competitor_id}/history", response_model=HistoryPage, operation_id="list_competitor_history")
@shows_history
async def list_competitor_history(competitor_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Competitor, competitor_id, request)


@router.get("/{competitor_id}/figures", response_model=CompetitorFigures, operation_id="get_competitor_figures")
async def get_competitor_figures(competitor_id: UUID, request: Request, uow: Uow) -> Response:
    """The results against the competitor: deals, deals won against it and lost to it, and the win rate, as of now.

    Only deals that you may read are counted, so two callers may see different figures; 403 for callers who may read none at
    all. The weak ETag changes with the figures, not with `as_of`.
    """
    competitor = await uow.read(Competitor, competitor_id)
    return computed(uow, await figures_of(uow, competitor), request)


@router.post("/{competitor_id}/activate", response_model=CompetitorRead, operation_id="activate_competitor")
async def activate_competitor(competitor_id: UUID, uow: Uow) -> Response:
    """Activate an inactive competitor, so that deals may name it again."""
    return await one(uow, await commands.activate_competitor(uow, competitor_id))


@router.post("/{competitor_id}/deactivate", response_model=CompetitorRead, operation_id="deactivate_competitor")
async def deactivate_competitor(
    competitor_id: UUID, uow: Uow, body: Annotated[Deactivation | None, Body()] = None
) -> Response:
    """Make the competitor read-only and closed to new references; deals that already name it keep it."""
    return await one(uow, await commands.deactivate_competitor(uow, competitor_id, body or Deactivation()))


@router.post("/{competitor_id}/assign", response_model=CompetitorRead, operation_id="assign_competitor")
async def assign_competitor(competitor_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the competitor to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_competitor(uow, competitor_id, body))
