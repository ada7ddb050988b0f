"""Bill an order in full or in part (Dataverse: ConvertSalesOrderToInvoice)."""

from uuid import UUID

from sqlalchemy import and_, or_, select

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import InvoiceCreated
from crm_contracts.sales.order import OrderInvoiced, OrderUpdated
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.parts import take_part
from crm_sales.document.pricing import pin
from crm_sales.invoice.model import RELEASING, Invoice
from crm_sales.invoice.parts import draft_part
from crm_sales.order.model import Order
from crm_sales.order.schemas import LineQuantities
from crm_sales.pricing.shares import Amounts


async def invoice_order(uow: UnitOfWork, order_id: UUID, body: LineQuantities) -> Invoice:
    """Draft an invoice over these quantities, owned by the caller. The order counts them as billed at once.

    The order is locked, so that concurrent invoices never bill more than was ordered.
    """
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.require("invoice")
    quantities = await take_part(uow, order, order.uninvoiced(), body.lines, "no more can be billed than was ordered")
    billed, released = await _billed(uow, order)
    share = order.amounts().without(billed).plus(released).share(quantities)
    invoice = draft_part(
        order,
        InvoiceKind.INVOICE,
        share,
        order_id=order.id,
        payment_terms=order.payment_terms,
        payment_conditions=order.payment_conditions,
        bill_again=False,
    )
    await pin(uow, invoice)
    uow.add(invoice, InvoiceCreated)
    if order.bill(quantities):
        uow.emit(order, OrderInvoiced, invoice_id=invoice.id)
    else:
        uow.emit(order, OrderUpdated)
    return invoice


async def _billed(uow: UnitOfWork, order: Order) -> tuple[list[Amounts], list[Amounts]]:
    """Return the amounts of the order's invoices that are not canceled, and those that credit notes released again."""
    if not any(line.invoiced_quantity for line in order.read_lines()):
        return [], []
    table = Invoice.__table__
    live = select(*(table.c[column] for column in stored_columns(Invoice))).where(
        table.c.order_id == order.id,
        or_(
            and_(table.c.kind == InvoiceKind.INVOICE, table.c.status != "canceled"),
            and_(table.c.bill_again, table.c.status.in_(RELEASING)),
        ),
    )
    found = [Invoice.from_row(dict(row)) for row in (await uow.execute(live)).mappings()]
    return (
        [one.amounts() for one in found if not one.is_credit_note],
        [one.amounts() for one in found if one.is_credit_note],
    )
