"""Commands on products. Products belong to the organisation. Only a draft can be changed or deleted."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import PricingMethod, ProductStructure
from crm_contracts.sales.product import (
    ProductActivated,
    ProductCreated,
    ProductDeleted,
    ProductRetired,
    ProductRevised,
    ProductUpdated,
)
from crm_kit.errors import DomainError, InactiveReference, InvalidValue
from crm_kit.records.patching import apply, require_status
from crm_kit.records.tree import Tree
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.own_number import require_own_number
from crm_sales.price_list_item.domain import percent_price
from crm_sales.price_list_item.model import PriceListItem
from crm_sales.pricing.exact import members_of, take_price
from crm_sales.product.domain import MAX_LEVELS, require_no_price_of_a_family
from crm_sales.product.model import Product
from crm_sales.product.schemas import ProductCreate, ProductUpdate
from crm_sales.validity import require_period

_PRICES = members_of(*Product.money_fields)
TREE = Tree(Product, "parent_id", MAX_LEVELS)

PERCENTAGES = (
    select(PriceListItem.currency, func.max(PriceListItem.percent).label("percent"))
    .where(PriceListItem.product_id == bindparam("id"), PriceListItem.pricing_method == PricingMethod.PERCENT_OF_LIST)
    .group_by(PriceListItem.currency)
)


async def create_product(uow: UnitOfWork, body: ProductCreate) -> Product:
    """Create a product or family as a draft."""
    await uow.start(Product)
    product = Product(**{name: value for name, value in body if name not in _PRICES})
    _take_prices(product, {name: getattr(body, name) for name in _PRICES})
    require_own_number(product.number, "PRO")
    _require_sense(product)
    if product.parent_id is not None:
        await _require_family(uow, product, product.parent_id)
    if body.number is None:
        product.number = await uow.number(Product.numbered)
    await pin_amounts(uow, product, Product.money_fields)
    return uow.add(product, ProductCreated)


async def update_product(uow: UnitOfWork, product_id: UUID, body: ProductUpdate) -> Product:
    """Change fields of a draft. A patch that changes no value does nothing."""
    product = await uow.get(Product, product_id, Privilege.WRITE)
    require_status(product, "draft")
    values = body.onto(product)
    if values.get("number", product.number) != product.number:
        require_own_number(values["number"], "PRO")
    list_price = product.price
    moved = values.get("parent_id", product.parent_id) != product.parent_id
    _take_prices(product, {name: values.pop(name) for name in _PRICES if name in values})
    apply(product, values)
    _require_sense(product)
    if moved and product.parent_id is not None:
        await _require_family(uow, product, product.parent_id)
    if product.price != list_price:
        await _require_list_price_of_percentages(uow, product)
    await pin_amounts(uow, product, Product.money_fields)
    return uow.emit_if_changed(product, ProductUpdated)


async def activate_product(uow: UnitOfWork, product_id: UUID) -> Product:
    """Make the product available for sale (Dataverse: PublishProductHierarchy, for one product)."""
    product = await uow.get(Product, product_id, Privilege.WRITE)
    product.move("activate")
    return uow.emit(product, ProductActivated)


async def retire_product(uow: UnitOfWork, product_id: UUID) -> Product:
    """Retire the product. Lines that have it keep it."""
    product = await uow.get(Product, product_id, Privilege.WRITE)
    product.move("retire")
    return uow.emit(product, ProductRetired)


async def revise_product(uow: UnitOfWork, product_id: UUID) -> Product:
    """Return the product to draft, to change it (Dataverse: a product under revision)."""
    product = await uow.get(Product, product_id, Privilege.WRITE)
    product.move("revise")
    return uow.emit(product, ProductRevised)


async def delete_product(uow: UnitOfWork, product_id: UUID) -> None:
    """Delete a draft that no record refers to."""
    product = await uow.get(Product, product_id, Privilege.DELETE)
    if product.status != "draft":
        message = "Only a draft can be deleted. Retire an active product instead."
        raise DomainError("not-deletable", message)
    await refuse_in_use(uow, product)
    uow.remove(product, ProductDeleted)


def _take_prices(product: Product, sent: Mapping[str, Any]) -> None:
    for field in Product.money_fields:
        take_price(product, field, sent)


def _require_sense(product: Product) -> None:
    require_period(product.valid_from, product.valid_to)
    require_no_price_of_a_family(product.structure, product.list_price, product.standard_cost)


async def _require_family(uow: UnitOfWork, product: Product, family_id: UUID) -> None:
    if family_id != product.id:
        family = await uow.refer(Product, family_id, "/parent_id")
        if family.structure != ProductStructure.FAMILY:
            raise InvalidValue("/parent_id", "not-a-family", "Choose a product family: a product cannot be a parent.")
        if family.status == "retired":
            raise InactiveReference("/parent_id", "product")
    await TREE.require_place(uow, product, family_id)


async def _require_list_price_of_percentages(uow: UnitOfWork, product: Product) -> None:
    """Require a list price in the currency of each price list that has the product at a percentage of its list price."""
    for row in await uow.execute(PERCENTAGES, {"id": product.id}):
        percent_price(row.percent, product.price, row.currency, "/list_price")
