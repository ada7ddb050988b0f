"""Issue an invoice or credit note: it gets its number and becomes payable."""

from uuid import UUID

from sqlalchemy import func, select

from crm_contracts.access import Privilege
from crm_contracts.money import Money
from crm_contracts.sales.invoice import InvoiceIssued, InvoicePaid, InvoiceUpdated
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.customer import require_customer
from crm_sales.document.pricing import pin
from crm_sales.invoice.model import RELEASING, Invoice
from crm_sales.invoice.numbering import next_number
from crm_sales.invoice.origin import hold_origin, release
from crm_sales.pricing.shares import share_of


async def issue_invoice(uow: UnitOfWork, invoice_id: UUID) -> Invoice:
    """Number and date the invoice.

    A credit note reduces its invoice's balance first; the rest of it has to be paid back, without its share of a discount
    for early payment that the invoice's payment took. With ``bill_again`` its order
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
    """Set off against each other what the invoice still owes, or the note's share of the discount that its payment took.

    Nobody paid the discount, so it is not paid back (ADR 76). The last credit note takes the rest of it.
    """
    uncredited, taken = await _uncredited(uow, invoice), invoice.early_discount_taken
    owed = min(note.balance, invoice.balance)
    amount = owed if taken is None else share_of(taken, note.total.amount, uncredited.amount)
    if not amount.amount:
        return
    if taken is not None:
        invoice.lower_discount(amount)
    note.set_off(amount)
    invoice.set_off(amount)
    invoice.offer_discount(uncredited - note.total)
    await pin(uow, invoice)
    if taken is None and invoice.settle():
        uow.emit(invoice, InvoicePaid, amount=None, amount_base=None, method=None, paid_at=uow.now)
    else:
        uow.emit(invoice, InvoiceUpdated)


async def _uncredited(uow: UnitOfWork, invoice: Invoice) -> Money:
    """Return what issued credit notes leave of the total. Only a discount for early payment needs it.

    The invoice is locked, so its credit notes are issued one after another.
    """
    if invoice.early_discount_until is None:
        return invoice.total
    table = Invoice.__table__
    credited = select(func.coalesce(func.sum(table.c.total_amount), 0)).where(
        table.c.credited_invoice_id == invoice.id, table.c.status.in_(RELEASING)
    )
    return invoice.total - Money.rounded((await uow.execute(credited)).scalar_one(), invoice.currency)
