"""The HTTP face of sales literature."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Deactivation
from crm_sales.sales_literature import commands
from crm_sales.sales_literature.model import SalesLiterature
from crm_sales.sales_literature.schemas import (
    SalesLiteratureCreate,
    SalesLiteratureRead,
    SalesLiteratureUpdate,
)

router = APIRouter(prefix="/sales-literature", tags=["sales literature"], route_class=about(SalesLiterature))

LITERATURE = Listing(
    SalesLiterature, sortable=("created_at", "modified_at", "title", "type", "expires_on"), search="search_text"
)


@router.get("", response_model=Page[SalesLiteratureRead], operation_id="list_sales_literature")
@lists(LITERATURE)
async def list_literature(request: Request, uow: Uow) -> Response:
    """The library: filter, search title and keywords with `q`, sort, page.

    `product_ids[contains]=<id>` and `competitor_ids[contains]=<id>` find what is about a product or competitor,
    `expires_on[lt]=<today>` what holds no longer. Sort by created_at, modified_at, title, type or expires_on.
    """
    return await list_records(uow, LITERATURE, request)


@router.post("/query", response_model=Page[SalesLiteratureRead], operation_id="query_sales_literature")
async def query_literature(query: Query, uow: Uow) -> Response:
    """Sales literature by a JSON filter with and, or, not."""
    return await query_records(uow, LITERATURE, query)


@router.post("", response_model=SalesLiteratureRead, status_code=201, operation_id="create_sales_literature")
async def create_literature(body: SalesLiteratureCreate, uow: Uow) -> Response:
    """A new piece of literature. 422 `content-required` without `body` and `link`."""
    return await created(uow, await commands.create_literature(uow, body))


@router.get("/{literature_id}", response_model=SalesLiteratureRead, operation_id="get_sales_literature")
async def get_literature(literature_id: UUID, request: Request, uow: Uow) -> Response:
    """One piece of literature, with its version as ETag."""
    return await read(uow, SalesLiterature, literature_id, request)


@router.patch("/{literature_id}", response_model=SalesLiteratureRead, operation_id="update_sales_literature")
async def update_literature(literature_id: UUID, body: SalesLiteratureUpdate, uow: Uow) -> Response:
    """Change fields of an active piece (RFC 7396 merge patch); lists are replaced as a whole.

    422 `content-required` when neither `body` nor `link` would be left.
    """
    return await one(uow, await commands.update_literature(uow, literature_id, body))


@router.delete("/{literature_id}", status_code=204, operation_id="delete_sales_literature")
async def delete_literature(literature_id: UUID, uow: Uow) -> Response:
    """Delete a piece of literature; nothing refers to it."""
    await commands.delete_literature(uow, literature_id)
    return gone()


@router.get("/{literature_id}/history", response_model=HistoryPage, operation_id="list_sales_literature_history")
@shows_history
async def list_literature_history(literature_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, SalesLiterature, literature_id, request)


@router.post("/{literature_id}/activate", response_model=SalesLiteratureRead, operation_id="activate_sales_literature")
async def activate_literature(literature_id: UUID, uow: Uow) -> Response:
    """Take a piece that was put away into use again."""
    return await one(uow, await commands.activate_literature(uow, literature_id))


@router.post(
    "/{literature_id}/deactivate", response_model=SalesLiteratureRead, operation_id="deactivate_sales_literature"
)
async def deactivate_literature(
    literature_id: UUID, uow: Uow, body: Annotated[Deactivation | None, Body()] = None
) -> Response:
    """Put the piece away: it stays readable and searchable (`status=inactive`), and cannot be edited."""
    return await one(uow, await commands.deactivate_literature(uow, literature_id, body or Deactivation()))
