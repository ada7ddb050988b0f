"""The HTTP face of products: reference data of the whole organisation."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.filtering import Below
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_sales.product import commands
from crm_sales.product.model import Product
from crm_sales.product.schemas import ProductCreate, ProductRead, ProductUpdate

router = APIRouter(prefix="/products", tags=["products"], route_class=about(Product))

PRODUCTS = Listing(
    Product,
    sortable=("created_at", "modified_at", "name", "number"),
    search="search_text",
    virtual={"family_id": Below(Product, "parent_id")},
)


@router.get("", response_model=Page[ProductRead], operation_id="list_products")
@lists(PRODUCTS)
async def list_products(request: Request, uow: Uow) -> Response:
    """Products and families: filter, search name and number with `q`, sort by created_at, modified_at, name or number, page.

    `parent_id=` finds what is directly in a family, `family_id=` what is anywhere below it, and `structure=product` leaves
    the families out.
    """
    return await list_records(uow, PRODUCTS, request)


@router.post("/query", response_model=Page[ProductRead], operation_id="query_products")
async def query_products(query: Query, uow: Uow) -> Response:
    """Products by a JSON filter with and, or, not."""
    return await query_records(uow, PRODUCTS, query)


@router.post("", response_model=ProductRead, status_code=201, operation_id="create_product")
async def create_product(body: ProductCreate, uow: Uow) -> Response:
    """A new product or family, as a draft: nothing is sold of it until it is activated.

    409 `already-exists` when another product has the number; 422 `reserved-number` for one of the drawn form,
    `not-a-family` and `inactive-reference` for a parent that takes no products, `too-deep` past 20 levels,
    `family-has-no-price`, `end-before-start`, and `currency-mismatch` when its two amounts are in different currencies.
    """
    return await created(uow, await commands.create_product(uow, body))


@router.get("/{product_id}", response_model=ProductRead, operation_id="get_product")
async def get_product(product_id: UUID, request: Request, uow: Uow) -> Response:
    """One product, with its version as ETag."""
    return await read(uow, Product, product_id, request)


@router.patch("/{product_id}", response_model=ProductRead, operation_id="update_product")
async def update_product(product_id: UUID, body: ProductUpdate, uow: Uow) -> Response:
    """Change fields of a draft (RFC 7396 merge patch); `revise` makes an active or retired product a draft.

    The rules are those of a new product; 422 `circular-parent` when the new parent lies below the family.
    """
    return await one(uow, await commands.update_product(uow, product_id, body))


@router.delete("/{product_id}", status_code=204, operation_id="delete_product")
async def delete_product(product_id: UUID, uow: Uow) -> Response:
    """Delete a draft; 409 `not-deletable` for others, `in-use` lists the records that refer to it."""
    await commands.delete_product(uow, product_id)
    return gone()


@router.get("/{product_id}/history", response_model=HistoryPage, operation_id="list_product_history")
@shows_history
async def list_product_history(product_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Product, product_id, request)


@router.post("/{product_id}/activate", response_model=ProductRead, operation_id="activate_product")
async def activate_product(product_id: UUID, uow: Uow) -> Response:
    """Sell a drafted product from now on, on the days it is valid; its fields are fixed until it is revised."""
    return await one(uow, await commands.activate_product(uow, product_id))


@router.post("/{product_id}/retire", response_model=ProductRead, operation_id="retire_product")
async def retire_product(product_id: UUID, uow: Uow) -> Response:
    """Sell an active product no more: it enters no new line, and a family takes no new products. What has it keeps it."""
    return await one(uow, await commands.retire_product(uow, product_id))


@router.post("/{product_id}/revise", response_model=ProductRead, operation_id="revise_product")
async def revise_product(product_id: UUID, uow: Uow) -> Response:
    """Make an active or retired product a draft, to change it; until it is active again it enters no new line."""
    return await one(uow, await commands.revise_product(uow, product_id))
