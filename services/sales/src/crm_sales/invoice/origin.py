"""The origin of an invoice: its order, or the invoice that a credit note credits.

Lock order: an order before its invoices, an invoice before its credit notes. Quantities are counted at the locked
origin, so that the parts never exceed it.
"""

from uuid import UUID

from sqlalchemy import select

from crm_contracts.sales.invoice import InvoiceUpdated
from crm_contracts.sales.order import OrderInvoiced, OrderUpdated
from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork
from crm_sales.invoice.model import Invoice
from crm_sales.order.model import Order


async def hold_origin(uow: UnitOfWork, invoice_id: UUID, *, orders: bool = True) -> Order | Invoice | None:
    """Lock the origin before the invoice itself. None if there is no origin or no such invoice.

    An origin never changes, so its id can be read before any lock is taken. ``orders=False`` skips orders of invoices. The
    order of a credit note is locked, too, if it can be billed again.
    """
    table = Invoice.__table__
    origin = select(table.c.credited_invoice_id, table.c.order_id, table.c.bill_again).where(table.c.id == invoice_id)
    row = (await uow.execute(origin)).one_or_none()
    if row is None:
        return None
    if row.bill_again:
        await uow.load(Order, row.order_id)
    if row.credited_invoice_id is not None:
        return await uow.load(Invoice, row.credited_invoice_id)
    return await uow.load(Order, row.order_id) if orders and row.order_id is not None else None


async def release(uow: UnitOfWork, note: Invoice) -> None:
    """Release what an issued credit note credits at its order, so that it can be billed again."""
    order = await _order_of(uow, note)
    order.unbill(note.quantities())
    uow.emit(order, OrderUpdated)


async def bill_again(uow: UnitOfWork, note: Invoice) -> None:
    """Count what a canceled credit note credited as billed once more.

    409 ``illegal-transition`` if the order was billed over it in the meantime, or is canceled.
    """
    order, quantities = await _order_of(uow, note), note.quantities()
    left = order.uninvoiced()
    if order.status == "canceled" or any(left[line_id] < quantity for line_id, quantity in quantities.items()):
        raise DomainError(
            "illegal-transition",
            "The order was billed again or canceled since. Cancel its new invoice first.",
            members={"record_status": note.status, "status_reason": note.status_reason, "allowed": []},
        )
    if order.bill(quantities):
        uow.emit(order, OrderInvoiced, invoice_id=note.credited_invoice_id)
    else:
        uow.emit(order, OrderUpdated)


async def _order_of(uow: UnitOfWork, note: Invoice) -> Order:
    assert note.order_id is not None  # Only a credit note of an order's invoice has bill_again.
    return await uow.load(Order, note.order_id)


def give_back(uow: UnitOfWork, invoice: Invoice, origin: Order | Invoice | None) -> None:
    """Release the quantities of a canceled or deleted invoice or credit note at its origin."""
    match origin:
        case Order():
            origin.unbill(invoice.quantities())
            uow.emit(origin, OrderUpdated)
        case Invoice():
            origin.uncredit(invoice.quantities())
            uow.emit(origin, InvoiceUpdated)
