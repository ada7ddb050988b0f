"""What an invoice was made of: its order, or the invoice that a credit note is for.

Lock order: an order before its invoices, an invoice before its credit notes. Quantities are counted at the origin, under its
lock, so that the parts never exceed it.
"""

from uuid import UUID

from sqlalchemy import select

from crm_contracts.sales.invoice import InvoiceUpdated
from crm_contracts.sales.order import OrderUpdated
from crm_kit.work.uow import UnitOfWork
from crm_sales.invoice.model import Invoice
from crm_sales.order.model import Order


async def hold_origin(uow: UnitOfWork, invoice_id: UUID, *, orders: bool = True) -> Order | Invoice | None:
    """Lock what the invoice was made of, before the invoice itself; None for one by hand and for one that is not there.

    Which it is never changes, so it may be read before anything is locked. ``orders=False`` leaves orders alone.
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
    """What was on an invoice or credit note that is void can be billed or credited again."""
    match origin:
        case Order():
            origin.unbill(invoice.quantities())
            uow.emit(origin, OrderUpdated)
        case Invoice():
            origin.uncredit(invoice.quantities())
            uow.emit(origin, InvoiceUpdated)
