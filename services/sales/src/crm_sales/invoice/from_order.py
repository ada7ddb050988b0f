"""Bill an order in full or in part (Dataverse: ConvertSalesOrderToInvoice)."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import InvoiceCreated
from crm_contracts.sales.order import OrderInvoiced, OrderUpdated
from crm_contracts.sentences import said
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.parts import take_part
from crm_sales.document.pricing import pin
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.origin import left_to_bill
from crm_sales.invoice.parts import draft_part
from crm_sales.order.model import Order
from crm_sales.order.schemas import LineQuantities


async def invoice_order(uow: UnitOfWork, order_id: UUID, body: LineQuantities) -> Invoice:
    """Draft an invoice over these quantities, owned by the caller. The order counts them as billed at once.

    The order is locked, so that concurrent invoices never bill more than was ordered.
    """
    order = await uow.get(Order, order_id, Privilege.WRITE)
    order.require("invoice")
    quantities = await take_part(
        uow, order, order.uninvoiced(), body.lines, said("no more can be billed than was ordered")
    )
    share = (await left_to_bill(uow, order)).share(quantities)
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
