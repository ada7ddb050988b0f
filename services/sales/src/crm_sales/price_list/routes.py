"""The HTTP face of price lists: reference data of the whole organisation."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Deactivation
from crm_sales.price_list import commands
from crm_sales.price_list.model import PriceList
from crm_sales.price_list.schemas import PriceListCreate, PriceListRead, PriceListUpdate

router = APIRouter(prefix="/price-lists", tags=["price lists"], route_class=about(PriceList))

PRICE_LISTS = Listing(
    PriceList,
    sortable=("created_at", "modified_at", "name", "valid_from", "valid_to"),
    search="search_text",
)


@router.get("", response_model=Page[PriceListRead], operation_id="list_price_lists")
@lists(PRICE_LISTS)
async def list_price_lists(request: Request, uow: Uow) -> Response:
    """Price lists: filter, search with `q`, sort by created_at, modified_at, name, valid_from or valid_to, page."""
    return await list_records(uow, PRICE_LISTS, request)


@router.post("/query", response_model=Page[PriceListRead], operation_id="query_price_lists")
async def query_price_lists(query: Query, uow: Uow) -> Response:
    """Price lists by a JSON filter with and, or, not."""
    return await query_records(uow, PRICE_LISTS, query)


@router.post("", response_model=PriceListRead, status_code=201, operation_id="create_price_list")
async def create_price_list(body: PriceListCreate, uow: Uow) -> Response:
    """A new price list; its prices are made at `/price-list-items`. 422 `end-before-start`."""
    return await created(uow, await commands.create_price_list(uow, body))


@router.get("/{price_list_id}", response_model=PriceListRead, operation_id="get_price_list")
async def get_price_list(price_list_id: UUID, request: Request, uow: Uow) -> Response:
    """One price list, with its version as ETag; its prices are at `/price-list-items?price_list_id=`."""
    return await read(uow, PriceList, price_list_id, request)


@router.patch("/{price_list_id}", response_model=PriceListRead, operation_id="update_price_list")
async def update_price_list(price_list_id: UUID, body: PriceListUpdate, uow: Uow) -> Response:
    """Change fields of an active price list (RFC 7396 merge patch). 422 `end-before-start`."""
    return await one(uow, await commands.update_price_list(uow, price_list_id, body))


@router.delete("/{price_list_id}", status_code=204, operation_id="delete_price_list")
async def delete_price_list(price_list_id: UUID, uow: Uow) -> Response:
    """Delete a price list that has no prices; 409 `in-use` lists the prices and other records that refer to it."""
    await commands.delete_price_list(uow, price_list_id)
    return gone()


@router.get("/{price_list_id}/history", response_model=HistoryPage, operation_id="list_price_list_history")
@shows_history
async def list_price_list_history(price_list_id: UUID, request: Request, uow: Uow) -> Response:
    """Who changed what, when, from what to what; newest first. Prices have histories of their own."""
    return await history(uow, PriceList, price_list_id, request)


@router.post("/{price_list_id}/activate", response_model=PriceListRead, operation_id="activate_price_list")
async def activate_price_list(price_list_id: UUID, uow: Uow) -> Response:
    """Make an inactive price list usable again."""
    return await one(uow, await commands.activate_price_list(uow, price_list_id))


@router.post("/{price_list_id}/deactivate", response_model=PriceListRead, operation_id="deactivate_price_list")
async def deactivate_price_list(
    price_list_id: UUID, uow: Uow, body: Annotated[Deactivation | None, Body()] = None
) -> Response:
    """Close a price list to new references and new prices; documents that have it keep it and their prices."""
    return await one(uow, await commands.deactivate_price_list(uow, price_list_id, body or Deactivation()))
