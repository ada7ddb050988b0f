"""The origin of an invoice: its order, or the invoice that a credit note credits.

Lock order: an order before its invoices, an invoice before its credit notes. Quantities are counted at the locked
origin, so that the parts never exceed it.
"""

from uuid import UUID

from sqlalchemy import select

from crm_contracts.sales.invoice import InvoiceUpdated
from crm_contracts.sales.order import OrderUpdated
from crm_kit.work.uow import UnitOfWork
from crm_sales.invoice.model import Invoice
from crm_sales.order.model import Order


async def hold_origin(uow: UnitOfWork, invoice_id: UUID, *, orders: bool = True) -> Order | Invoice | None:
    """Lock the origin before the invoice itself. None if there is no origin or no such invoice.

    An origin never changes, so its id can be read before any lock is taken. ``orders=False`` skips orders.
    """
    table = Invoice.__table__
    origin = select(table.c.credited_invoice_id, table.c.order_id).where(table.c.id == invoice_id)
    row = (await uow.execute(origin)).one_or_none()
    if row is None:
        return None
    if row.credited_invoice_id is not None:
        return await uow.load(Invoice, row.credited_invoice_id)
    return await uow.load(Order, row.order_id) if orders and row.order_id is not None else None


def give_back(uow: UnitOfWork, invoice: Invoice, origin: Order | Invoice | None) -> None:
    """Release the quantities of a canceled or deleted invoice or credit note at its origin."""
    match origin:
        case Order():
            origin.unbill(invoice.quantities())
            uow.emit(origin, OrderUpdated)
        case Invoice():
            origin.uncredit(invoice.quantities())
            uow.emit(origin, InvoiceUpdated)
