"""The origin of an invoice: its order, or the invoice that a credit note credits.

Lock order: an order before its invoices, an invoice before its credit notes. Quantities are counted at the locked
origin, so that the parts never exceed it.
"""

from uuid import UUID

from sqlalchemy import and_, or_, select

from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import InvoiceUpdated
from crm_contracts.sales.order import OrderInvoiced, OrderUpdated
from crm_kit.errors import DomainError
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork
from crm_sales.invoice.model import RELEASING, Invoice
from crm_sales.order.model import Order
from crm_sales.pricing.shares import Amounts


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

    409 ``illegal-transition`` if the order was billed over it in the meantime, or is canceled. It was billed over it, too, if
    less than the note's amounts is left: a new invoice has its share of what all notes released, rounded.
    """
    order, quantities = await _order_of(uow, note), note.quantities()
    if order.status == "canceled":
        raise _refused(
            note,
            "The order was canceled since. The credit note stays; bill what is owed by an invoice without an order.",
        )
    left = order.uninvoiced()
    if any(left[line_id] < quantity for line_id, quantity in quantities.items()) or (
        (await left_to_bill(uow, order, without=note)).any_below_zero
    ):
        raise _refused(note, "The order was billed again since. Cancel its new invoice first.")
    if order.bill(quantities):
        uow.emit(order, OrderInvoiced, invoice_id=note.credited_invoice_id)
    else:
        uow.emit(order, OrderUpdated)


async def left_to_bill(uow: UnitOfWork, order: Order, *, without: Invoice | None = None) -> Amounts:
    """Return the amounts of the order that no invoice bills, and those that credit notes released again.

    What the credit note ``without`` released counts as billed.
    """
    if not any(line.invoiced_quantity for line in order.read_lines()):
        return order.amounts()
    table = Invoice.__table__
    live = select(*(table.c[column] for column in stored_columns(Invoice))).where(
        table.c.order_id == order.id,
        or_(
            and_(table.c.kind == InvoiceKind.INVOICE, table.c.status != "canceled"),
            and_(table.c.bill_again, table.c.status.in_(RELEASING)),
        ),
    )
    found = [Invoice.from_row(dict(row)) for row in (await uow.execute(live)).mappings()]
    billed = [one.amounts() for one in found if not one.is_credit_note]
    released = [one.amounts() for one in found if one.is_credit_note and (without is None or one.id != without.id)]
    return order.amounts().without(billed).plus(released)


def _refused(note: Invoice, message: str) -> DomainError:
    members = {"record_status": note.status, "status_reason": note.status_reason, "allowed": []}
    return DomainError("illegal-transition", message, members=members)


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
