"""Commands on prices of products. Documents keep the price that they took. A change applies to later lines.

A command that writes a price locks the price and then its product FOR SHARE. A command that changes a product locks the
product and reads its prices without locks. The two can wait for each other, but never deadlock.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import PricingMethod, ProductStatus, ProductStructure
from crm_contracts.sales.price_list_item import (
    PriceListItemCreated,
    PriceListItemDeleted,
    PriceListItemUpdated,
    VolumeBreak,
)
from crm_kit.errors import InactiveReference, InvalidValue
from crm_kit.records.patch import plain
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.price_list.model import PriceList
from crm_sales.price_list_item.domain import percent_price, require_breaks, require_price
from crm_sales.price_list_item.model import PriceListItem
from crm_sales.price_list_item.schemas import PriceListItemCreate, PriceListItemUpdate
from crm_sales.pricing.exact import members_of, take_price
from crm_sales.product.model import Product
from crm_sales.product.queries import hold_product

_PRICE = members_of("amount")


async def create_price_list_item(uow: UnitOfWork, body: PriceListItemCreate) -> PriceListItem:
    """Create the price of a product in an active price list."""
    await uow.start(PriceListItem)
    price_list = await uow.refer(PriceList, body.price_list_id, "/price_list_id")
    values = {name: plain(value) for name, value in body if name not in _PRICE}
    item = PriceListItem(currency=price_list.currency, **values)
    take_price(item, "amount", {name: getattr(body, name) for name in _PRICE})
    _require_sense(item, body.volume_breaks)
    product = await hold_product(uow, body.product_id, "/product_id")
    _require_priced(product)
    _require_list_price(item, product)
    await pin_amounts(uow, item, PriceListItem.money_fields)
    return uow.add(item, PriceListItemCreated)


async def update_price_list_item(uow: UnitOfWork, item_id: UUID, body: PriceListItemUpdate) -> PriceListItem:
    """Change a price. A patch that changes no value does nothing."""
    item = await uow.get(PriceListItem, item_id, Privilege.WRITE)
    values: dict[str, Any] = body.onto(item)
    sent = {name: values.pop(name) for name in _PRICE if name in values}
    apply(item, values)
    take_price(item, "amount", sent)
    _require_sense(item, body.volume_breaks if "volume_breaks" in values else ())
    if uow.changed(item) and item.pricing_method == PricingMethod.PERCENT_OF_LIST:
        _require_list_price(item, await hold_product(uow, item.product_id, "/product_id"))
    await pin_amounts(uow, item, PriceListItem.money_fields)
    return uow.emit_if_changed(item, PriceListItemUpdated)


async def delete_price_list_item(uow: UnitOfWork, item_id: UUID) -> None:
    """Delete the price of a product in a price list. Later lines find no price for it there."""
    item = await uow.get(PriceListItem, item_id, Privilege.DELETE)
    uow.remove(item, PriceListItemDeleted)


def _require_sense(item: PriceListItem, breaks: Sequence[VolumeBreak]) -> None:
    require_price(item.pricing_method, item.amount, item.percent, item.currency)
    require_breaks(breaks, item.currency)


def _require_priced(product: Product) -> None:
    """Refuse a price of a product family or of a retired product. A draft can have prices before it is sold."""
    if product.structure == ProductStructure.FAMILY:
        message = "Choose a product: a product family has no price."
        raise InvalidValue("/product_id", "family-has-no-price", message)
    if product.status == ProductStatus.RETIRED:
        raise InactiveReference("/product_id", "product")


def _require_list_price(item: PriceListItem, product: Product) -> None:
    if item.percent is not None:
        percent_price(item.percent, product.price, item.currency, "/percent")
