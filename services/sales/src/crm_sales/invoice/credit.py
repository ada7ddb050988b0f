"""Credit an invoice."""

from uuid import UUID

from sqlalchemy import select

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import InvoiceCreated, InvoiceUpdated
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.parts import take_part
from crm_sales.document.pricing import pin
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.parts import draft_part
from crm_sales.invoice.schemas import Credit
from crm_sales.pricing.shares import Amounts


async def credit_invoice(uow: UnitOfWork, invoice_id: UUID, body: Credit) -> Invoice:
    """Draft a credit note over these quantities, owned by the caller. The invoice counts them as credited at once.

    The credit note uses the invoice's exchange rate, so that crediting everything leaves no rest in base currency.
    """
    invoice = await uow.get(Invoice, invoice_id, Privilege.WRITE)
    invoice.require("credit")
    quantities = await take_part(
        uow, invoice, invoice.uncredited(), body.lines, "no more can be credited than was invoiced"
    )
    share = invoice.amounts().without(await _credited(uow, invoice)).share(quantities)
    note = draft_part(
        invoice,
        InvoiceKind.CREDIT_NOTE,
        share,
        order_id=invoice.order_id,
        credited_invoice_id=invoice.id,
        exchange_rate=invoice.exchange_rate,
        reason=body.reason,
        bill_again=body.bill_again and invoice.order_id is not None,
    )
    await pin(uow, note)
    uow.add(note, InvoiceCreated)
    invoice.credit(quantities)
    uow.emit(invoice, InvoiceUpdated)
    return note


async def _credited(uow: UnitOfWork, invoice: Invoice) -> list[Amounts]:
    """Return the amounts of the invoice's credit notes that are not canceled."""
    if not any(line.credited_quantity for line in invoice.read_lines()):
        return []
    table = Invoice.__table__
    live = select(*(table.c[column] for column in stored_columns(Invoice))).where(
        table.c.credited_invoice_id == invoice.id, table.c.status != "canceled"
    )
    return [Invoice.from_row(dict(row)).amounts() for row in (await uow.execute(live)).mappings()]
