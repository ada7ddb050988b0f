"""Prices of products, for writing lines."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from crm_contracts.money import Money
from crm_contracts.sales.choices import PricingMethod
from crm_contracts.sales.price_list_item import VolumeBreak as BreakShape
from crm_contracts.unit_price import UnitPrice
from crm_kit.store.record import stored_columns
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.price_list.model import PriceList
from crm_sales.price_list_item.domain import percent_price
from crm_sales.price_list_item.model import PriceListItem
from crm_sales.pricing.domain import VolumeBreak
from crm_sales.pricing.exact import exact_price
from crm_sales.product.model import Product
from crm_sales.settings.model import SalesSettings
from crm_sales.settings.queries import TAX_RULES

_PRODUCT, _ITEM = Product.__table__, PriceListItem.__table__
_PRICE = ("currency", "pricing_method", "amount_amount", "exact_amount", "percent", "volume_breaks")
_RULES = ("tax_rounding", "header_discount")
_IN_LIST = and_(_ITEM.c.product_id == _PRODUCT.c.id, _ITEM.c.price_list_id == bindparam("price_list_id", type_=Uuid()))
PRICES = (
    select(
        *(_PRODUCT.c[column] for column in stored_columns(Product)),
        *(_ITEM.c[column].label(f"price_{column}") for column in _PRICE),
        # A new document with products needs them as well. They save it a statement of its own.
        *(select(SalesSettings.__table__.c[column]).limit(1).scalar_subquery().label(column) for column in _RULES),
    )
    .select_from(_PRODUCT.outerjoin(_ITEM, _IN_LIST))
    .where(_PRODUCT.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid()))))
    .order_by(_PRODUCT.c.id)
    .with_for_update(read=True, of=_PRODUCT)
)


@dataclass(frozen=True, slots=True)
class ProductPrice:
    """A product and the price of one unit.

    ``unit_price`` is the price in the price list, None if the list has none. Without a price list it is the product's
    list price, None if it has none. ``breaks`` are those of the list, by rising quantity.
    """

    product: Product
    unit_price: Money | UnitPrice | None
    breaks: tuple[VolumeBreak, ...] = ()


async def prices_of(
    uow: UnitOfWork, price_list_id: UUID | None, product_ids: Collection[UUID]
) -> Mapping[UUID, ProductPrice]:
    """Return the products that exist and that the caller may read, with their prices, in one statement.

    This begins the transaction and locks the products FOR SHARE in the order of their ids until its end, so that no
    product is deleted or loses its price while a line with it is written (ADR 17). It does not check whether a product
    is sold today (``Product.require_sold``) or whether the price list is valid (``require_price_list``).
    """
    readable = uow.reach(Product).everything
    if not product_ids or not readable:
        return {}
    await uow.transaction()
    # Locked products cannot change until the end of the transaction, so rows of an import with the same products ask
    # once.
    rows = await uow.look_up(PRICES, {"price_list_id": price_list_id, "ids": tuple(sorted(product_ids))})
    if rows:
        uow.remember(TAX_RULES, [{column: rows[0][column] for column in _RULES}])
    products = [{name: value for name, value in row.items() if name not in _RULES} for row in rows]
    found = [_price(row, by_list=price_list_id is not None) for row in products]
    return {price.product.id: price for price in found}


async def require_price_list(uow: UnitOfWork, price_list_id: UUID, pointer: str) -> PriceList:
    """Return the price list of a new reference, which must be valid today.

    Else 422 with the pointer: ``unknown-reference``, ``inactive-reference``, ``price-list-not-valid``.
    """
    price_list = await uow.refer(PriceList, price_list_id, pointer)
    price_list.require_in_force(today(uow), pointer)
    return price_list


def _price(row: dict[str, Any], *, by_list: bool) -> ProductPrice:
    currency, method, amount, exact, percent, breaks = (row.pop(f"price_{column}") for column in _PRICE)
    product = Product.from_row(row)
    if not by_list:
        return ProductPrice(product, product.price)
    if method is None:
        return ProductPrice(product, None)
    if method == PricingMethod.AMOUNT:
        price = exact_price(Money(amount, currency), exact)
    else:
        price = percent_price(percent, product.price, currency, "/price_list_id")
    return ProductPrice(product, price, tuple(_break(BreakShape.stored(one)) for one in breaks))


def _break(shape: BreakShape) -> VolumeBreak:
    return VolumeBreak(shape.min_quantity, shape.discount_percent, shape.discount_amount)
