"""Issue an invoice or credit note: it gets its number and becomes payable."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.invoice import InvoiceIssued, InvoicePaid, InvoiceUpdated
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.customer import require_customer
from crm_sales.document.pricing import pin
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.numbering import next_number
from crm_sales.invoice.origin import hold_origin, release


async def issue_invoice(uow: UnitOfWork, invoice_id: UUID) -> Invoice:
    """Number and date the invoice.

    A credit note reduces its invoice's balance first; the rest of it has to be paid back. With ``bill_again`` its order
    can be billed again.
    """
    uow.principal.require(Invoice.entity(), Privilege.WRITE)
    origin = await hold_origin(uow, invoice_id, orders=False)
    invoice = await uow.get(Invoice, invoice_id, Privilege.WRITE)
    invoice.require_issuable()
    await require_customer(uow, invoice, "Set the customer before you issue the invoice.")
    if isinstance(origin, Invoice):
        await _set_off(uow, invoice, origin)
    invoice.issue(await next_number(uow), today(uow))
    await pin(uow, invoice)
    if invoice.releases:
        await release(uow, invoice)
    facts = {"issue_date": invoice.issue_date, "due_date": invoice.due_date}
    return uow.emit(invoice, InvoiceIssued, total=invoice.total, total_base=invoice.total_base, **facts)


async def _set_off(uow: UnitOfWork, note: Invoice, invoice: Invoice) -> None:
    amount = min(note.balance, invoice.balance)
    if not amount.amount:
        return
    note.set_off(amount)
    invoice.set_off(amount)
    await pin(uow, invoice)
    if invoice.settle():
        uow.emit(invoice, InvoicePaid, amount=None, amount_base=None, method=None, paid_at=uow.now)
    else:
        uow.emit(invoice, InvoiceUpdated)
