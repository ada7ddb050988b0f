"""Commands on price lists. Price lists belong to the organisation."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.price_list import (
    PriceListActivated,
    PriceListCreated,
    PriceListDeactivated,
    PriceListDeleted,
    PriceListUpdated,
)
from crm_kit.records.patching import Deactivation, apply, require_status
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.price_list.model import PriceList
from crm_sales.price_list.schemas import PriceListCreate, PriceListUpdate
from crm_sales.validity import require_period


async def create_price_list(uow: UnitOfWork, body: PriceListCreate) -> PriceList:
    """Create a price list of the organisation without prices."""
    await uow.start(PriceList)
    price_list = PriceList(**dict(body))
    require_period(price_list.valid_from, price_list.valid_to)
    return uow.add(price_list, PriceListCreated)


async def update_price_list(uow: UnitOfWork, price_list_id: UUID, body: PriceListUpdate) -> PriceList:
    """Change fields of an active price list. A patch that changes no value does nothing."""
    price_list = await uow.get(PriceList, price_list_id, Privilege.WRITE)
    require_status(price_list, "active")
    apply(price_list, body.onto(price_list))
    require_period(price_list.valid_from, price_list.valid_to)
    return uow.emit_if_changed(price_list, PriceListUpdated)


async def activate_price_list(uow: UnitOfWork, price_list_id: UUID) -> PriceList:
    """Activate an inactive price list."""
    price_list = await uow.get(PriceList, price_list_id, Privilege.WRITE)
    price_list.move("activate")
    return uow.emit(price_list, PriceListActivated)


async def deactivate_price_list(uow: UnitOfWork, price_list_id: UUID, body: Deactivation) -> PriceList:
    """Refuse new references to the price list and new prices in it. Existing ones stay."""
    price_list = await uow.get(PriceList, price_list_id, Privilege.WRITE)
    price_list.move("deactivate")
    return uow.emit(price_list, PriceListDeactivated, reason=body.reason)


async def delete_price_list(uow: UnitOfWork, price_list_id: UUID) -> None:
    """Delete a price list that has no prices and that no record refers to."""
    price_list = await uow.get(PriceList, price_list_id, Privilege.DELETE)
    await refuse_in_use(uow, price_list)
    uow.remove(price_list, PriceListDeleted)
