"""The HTTP face of prices in price lists: reference data of the whole organisation."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_contracts.sales.price_list_item import PriceListItemRecord
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_sales.price_list_item import commands
from crm_sales.price_list_item.model import PriceListItem
from crm_sales.price_list_item.schemas import PriceListItemCreate, PriceListItemUpdate

router = APIRouter(prefix="/price-list-items", tags=["price list items"], route_class=about(PriceListItem))

ITEMS = Listing(PriceListItem, sortable=("created_at", "modified_at"))


@router.get("", response_model=Page[PriceListItemRecord], operation_id="list_price_list_items")
@lists(ITEMS)
async def list_price_list_items(request: Request, uow: Uow) -> Response:
    """Prices: filter by `price_list_id`, `product_id` or any other field, sort by created_at or modified_at, page.

    The products of a page in one request: `/products?id[in]=…`.
    """
    return await list_records(uow, ITEMS, request)


@router.post("/query", response_model=Page[PriceListItemRecord], operation_id="query_price_list_items")
async def query_price_list_items(query: Query, uow: Uow) -> Response:
    """Prices by a JSON filter with and, or, not."""
    return await query_records(uow, ITEMS, query)


@router.post("", response_model=PriceListItemRecord, status_code=201, operation_id="create_price_list_item")
async def create_price_list_item(body: PriceListItemCreate, uow: Uow) -> Response:
    """The price of a product in a price list. 409 `already-exists` when it has one there.

    422 `inactive-reference` for an inactive price list or a retired product, `family-has-no-price`; `amount-required`,
    `percent-required` and `contradicts-method` when the price is not what its method says; `list-price-required` for a
    percentage of a list price that the product does not have in this currency; `not-rising` and `one-discount` for volume
    breaks; `currency-mismatch` for amounts in another currency than the price list's.
    """
    return await created(uow, await commands.create_price_list_item(uow, body))


@router.get("/{item_id}", response_model=PriceListItemRecord, operation_id="get_price_list_item")
async def get_price_list_item(item_id: UUID, request: Request, uow: Uow) -> Response:
    """One price, with its version as ETag."""
    return await read(uow, PriceListItem, item_id, request)


@router.patch("/{item_id}", response_model=PriceListItemRecord, operation_id="update_price_list_item")
async def update_price_list_item(item_id: UUID, body: PriceListItemUpdate, uow: Uow) -> Response:
    """Change a price for lines to come (RFC 7396 merge patch); the rules are those of a new price.

    Whoever changes the method sends both: `{"pricing_method": "percent_of_list", "percent": 95, "amount": null}`.
    """
    return await one(uow, await commands.update_price_list_item(uow, item_id, body))


@router.delete("/{item_id}", status_code=204, operation_id="delete_price_list_item")
async def delete_price_list_item(item_id: UUID, uow: Uow) -> Response:
    """Take a product out of a price list; documents that took the price keep it."""
    await commands.delete_price_list_item(uow, item_id)
    return gone()


@router.get("/{item_id}/history", response_model=HistoryPage, operation_id="list_price_list_item_history")
@shows_history
async def list_price_list_item_history(item_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, PriceListItem, item_id, request)
