"""Deliver an order in full or in part (Dataverse: FulfillSalesOrder)."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.order import LineQuantity, OrderFulfilled, OrderPartiallyFulfilled
from crm_contracts.sentences import said
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.parts import take_part
from crm_sales.order.model import Order
from crm_sales.order.schemas import LineQuantities


async def fulfill_order(uow: UnitOfWork, order_id: UUID, body: LineQuantities) -> Order:
    """Record a delivery of at most what was ordered. Billed quantities stay."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.require("fulfill")
    quantities = await take_part(
        uow, order, order.unshipped(), body.lines, said("no more can be delivered than was ordered")
    )
    shipped = [LineQuantity(line_id=line_id, quantity=quantity) for line_id, quantity in quantities.items()]
    if order.ship(quantities, uow.now):
        uow.emit(order, OrderFulfilled, shipped=shipped, fulfilled_at=uow.now)
    else:
        uow.emit(order, OrderPartiallyFulfilled, shipped=shipped)
    return order
