"""Commands on orders.

See also ``from_quote.py`` (order a quote), ``fulfill.py`` (deliver) and ``invoice/from_order.py`` (bill).
"""

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
from crm_contracts.sentences import said, status_word
from crm_kit.errors import DomainError
from crm_kit.records.patch import plain
from crm_kit.records.patching import Assignment, assign, require_status
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.account.model import Account
from crm_sales.document.customer import require_active_customer, require_customer
from crm_sales.document.editing import edit
from crm_sales.document.payment import settle_terms
from crm_sales.document.pricing import price_new, price_today
from crm_sales.document.references import deal_of, new_deal_of, require_not_lost, take_over
from crm_sales.order.credit import check_credit
from crm_sales.order.model import Order
from crm_sales.order.prices import price_edited
from crm_sales.order.schemas import OrderCreate, OrderSubmission, OrderUpdate

BY_RULE = ("lines", "customer", "currency")
"""Fields of a body that are converted to columns separately."""


async def create_order(uow: UnitOfWork, body: OrderCreate) -> Order:
    """Create an order without a quote. The caller owns it. Its deal, if any, must be open or won."""
    await uow.start(Order)
    deal = None if body.opportunity_id is None else await deal_of(uow, body.opportunity_id)
    if deal is not None:
        require_not_lost(deal)
    values = {name: plain(value) for name, value in body if name not in BY_RULE}
    settle_terms(values)
    order = Order(**values)
    await take_over(uow, order, deal, body.customer, body.model_fields_set)
    await price_new(uow, order, body, body.currency)
    order.number = await uow.number(Order.numbered)
    return uow.add(order, OrderCreated)


async def update_order(uow: UnitOfWork, order_id: UUID, body: OrderUpdate) -> Order:
    """Change fields of an active order. A patch that changes no value does nothing."""
    uow.principal.require(Order.entity(), Privilege.WRITE)
    # A deal is locked before its orders, although only the loaded order shows whether the deal is new to it.
    deal = await new_deal_of(uow, body)
    order = await uow.get(Order, order_id, Privilege.WRITE)
    require_status(order, "active")
    changed = await edit(uow, order, body, deal, require_not_lost)
    await price_edited(uow, order, body, changed)
    return uow.emit_if_changed(order, OrderUpdated)


async def hold_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Put an order on hold before it is submitted."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.move("hold")
    return uow.emit(order, OrderUpdated)


async def resume_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Resume the order."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.move("resume")
    return uow.emit(order, OrderUpdated)


async def lock_prices_of_order(uow: UnitOfWork, order_id: UUID, *, locked: bool) -> Order:
    """Lock or unlock the prices of the order (Dataverse: LockSalesOrderPricing)."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.lock_prices(locked)
    return uow.emit(order, OrderUpdated)


async def reprice_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Apply today's prices unless the prices are locked. Prices that a person set stay."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.move("reprice")
    await price_today(uow, order)
    return uow.emit_if_changed(order, OrderUpdated)


async def submit_order(uow: UnitOfWork, order_id: UUID, body: OrderSubmission) -> Order:
    """Submit the order. It can then be delivered and billed, but not edited.

    The customer must be active and have credit; ``force`` passes over credit hold and limit.
    """
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.submit(uow.now)
    await require_customer(uow, order, "Set the customer before you submit the order.")
    customer = await require_active_customer(uow, order)
    forced = isinstance(customer, Account) and await check_credit(uow, order, customer, force=body.force)
    facts = {"total": order.total, "total_base": order.total_base, "submitted_at": uow.now, "credit_forced": forced}
    return uow.emit(order, OrderSubmitted, **facts)


async def cancel_order(uow: UnitOfWork, order_id: UUID) -> Order:
    """Cancel the order unless a part of it is invoiced (Dataverse: CancelSalesOrder)."""
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.cancel(uow.now)
    return uow.emit(order, OrderCanceled, canceled_at=uow.now)


async def assign_order(uow: UnitOfWork, order_id: UUID, body: Assignment) -> Order:
    """Assign the order to another owner."""
    order = await uow.get(Order, order_id, Privilege.ASSIGN)
    await assign(uow, order, body, OrderAssigned)
    return order


async def delete_order(uow: UnitOfWork, order_id: UUID) -> None:
    """Delete an order that was not submitted and that no record refers to."""
    order = await uow.get(Order, order_id, Privilege.DELETE)
    if order.status != "active":
        raise DomainError(
            "not-deletable",
            said(
                "This order is {status}. Only an active order can be deleted.",
                status=status_word("order", order.status),
            ),
        )
    await refuse_in_use(uow, order)
    uow.remove(order, OrderDeleted)
