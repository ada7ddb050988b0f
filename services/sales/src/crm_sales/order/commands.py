"""What can be done with an order. Making one of a quote has its own file, ``from_quote.py``, as has delivering it:
``fulfill.py``; billing it is the invoice's: ``invoice/from_order.py``."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.order import (
    OrderAssigned,
    OrderCanceled,
    OrderCreated,
    OrderDeleted,
    OrderSubmitted,
    OrderUpdated,
)
from crm_kit.errors import DomainError
from crm_kit.records.patch import plain
from crm_kit.records.patching import Assignment, assign, require_status
from crm_kit.records.usage import refuse_in_use
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.customer import require_customer
from crm_sales.document.editing import edit
from crm_sales.document.pricing import price_new, price_today
from crm_sales.document.references import deal_of, new_deal_of, require_not_lost, take_over
from crm_sales.order.model import Order
from crm_sales.order.prices import price_edited
from crm_sales.order.schemas import OrderCreate, OrderUpdate

BY_RULE = ("lines", "customer", "currency")
"""Fields of a body that become columns by a rule of their own."""


async def create_order(uow: UnitOfWork, body: OrderCreate) -> Order:
    """A new order by hand, owned by the caller; of a deal that is open or won, or of none."""
    await uow.start(Order)
    deal = None if body.opportunity_id is None else await deal_of(uow, body.opportunity_id)
    if deal is not None:
        require_not_lost(deal)
    order = Order(**{name: plain(value) for name, value in body if name not in BY_RULE})
    await take_over(uow, order, deal, body.customer, body.model_fields_set)
    await price_new(uow, order, body, body.currency)
    order.number = await uow.number("ORD")
    return uow.add(order, OrderCreated)


async def update_order(uow: UnitOfWork, order_id: UUID, body: OrderUpdate) -> Order:
    """Change fields of an active order; a patch that changes nothing is no change."""
    uow.principal.require(Order.entity(), Privilege.WRITE)
    # A deal is locked before its orders; whether this one is new to the order is known only afterwards.
    deal = await new_deal_of(uow, body)
    order = await uow.get(Order, order_id, Privilege.WRITE)
    require_status(order, "active")
    changed = await edit(uow, order, body, deal, require_not_lost)
    await price_edited(uow, order, body, changed)
    return uow.emit_if_changed(order, OrderUpdated)


async def hold_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Put the order aside before it is submitted."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.move("hold")
    return uow.emit(order, OrderUpdated)


async def resume_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Take it up again."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.move("resume")
    return uow.emit(order, OrderUpdated)


async def lock_prices_of_order(uow: UnitOfWork, order_id: UUID, *, locked: bool) -> Order:
    """Keep what its lines cost, or no longer (Dataverse: LockSalesOrderPricing)."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.lock_prices(locked)
    return uow.emit(order, OrderUpdated)


async def reprice_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Take today's prices, unless they are locked; those that a person gave stay."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.move("reprice")
    await price_today(uow, order)
    return uow.emit_if_changed(order, OrderUpdated)


async def submit_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """The order stands: it can be delivered and billed, and no longer be edited."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.submit(uow.now)
    await require_customer(uow, order, "Say who buys.")
    return uow.emit(order, OrderSubmitted, total=order.total, total_base=order.total_base, submitted_at=uow.now)


async def cancel_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Call it off, unless something of it is on an invoice (Dataverse: CancelSalesOrder)."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.cancel(uow.now)
    return uow.emit(order, OrderCanceled, canceled_at=uow.now)


async def assign_order(uow: UnitOfWork, order_id: UUID, body: Assignment) -> Order:
    """Give the order to another owner."""
    order = await uow.get(Order, order_id, Privilege.ASSIGN)
    await assign(uow, order, body, OrderAssigned)
    return order


async def delete_order(uow: UnitOfWork, order_id: UUID) -> None:
    """Delete an order that was not submitted yet and that nothing refers to."""
    order = await uow.get(Order, order_id, Privilege.DELETE)
    if order.status != "active":
        raise DomainError("not-deletable", f"This order is {order.status}. Only an active order can be deleted.")
    await refuse_in_use(uow, order)
    uow.remove(order, OrderDeleted)
