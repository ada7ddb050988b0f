"""Commands on invoices.

See also ``from_order.py`` (bill an order), ``credit.py`` (credit notes), ``issue.py`` and ``payments.py``.
"""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import (
    InvoiceAssigned,
    InvoiceCanceled,
    InvoiceCreated,
    InvoiceDeleted,
    InvoiceOverdue,
    InvoiceUpdated,
)
from crm_contracts.sentences import said, status_word
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.records.patch import plain
from crm_kit.records.patching import Assignment, assign, require_status
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.editing import edit
from crm_sales.document.payment import settle_terms
from crm_sales.document.pricing import pin, price_changes, price_new
from crm_sales.document.references import deal_of, new_deal_of, require_not_lost, take_over
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.origin import bill_again, give_back, hold_origin
from crm_sales.invoice.schemas import InvoiceCreate, InvoiceUpdate

BY_RULE = ("lines", "customer", "currency")
"""Fields of a body that are converted to columns separately."""
OF_THE_ORIGIN = frozenset(
    {"lines", "price_list_id", "discount_percent", "discount_amount", "freight", "customer", "opportunity_id"}
)
"""Fields that a draft copies from its order or invoice. To change them, cancel the draft and create another."""


async def create_invoice(uow: UnitOfWork, body: InvoiceCreate) -> Invoice:
    """Create a draft without an order. The caller owns it. Its deal, if any, must be open or won."""
    await uow.start(Invoice)
    deal = None if body.opportunity_id is None else await deal_of(uow, body.opportunity_id)
    if deal is not None:
        require_not_lost(deal)
    values = {name: plain(value) for name, value in body if name not in BY_RULE}
    settle_terms(values)
    invoice = Invoice(kind=InvoiceKind.INVOICE, bill_again=False, **values)
    await take_over(uow, invoice, deal, body.customer, body.model_fields_set)
    await price_new(uow, invoice, body, body.currency)
    return uow.add(invoice, InvoiceCreated)


async def update_invoice(uow: UnitOfWork, invoice_id: UUID, body: InvoiceUpdate) -> Invoice:
    """Change fields of a draft. A patch that changes no value does nothing."""
    uow.principal.require(Invoice.entity(), Privilege.WRITE)
    # A deal is locked before its invoices, although only the loaded invoice shows whether the deal is new to it.
    deal = await new_deal_of(uow, body)
    invoice = await uow.get(Invoice, invoice_id, Privilege.WRITE)
    require_status(invoice, "draft")
    _require_own(invoice, body)
    changed = await edit(uow, invoice, body, deal, require_not_lost)
    await price_changes(uow, invoice, body, changed)
    return uow.emit_if_changed(invoice, InvoiceUpdated)


async def cancel_invoice(uow: UnitOfWork, invoice_id: UUID) -> Invoice:
    """Cancel a draft, or an issued invoice without payments and credits. Its quantities can be billed again."""
    uow.principal.require(Invoice.entity(), Privilege.WRITE)
    origin = await hold_origin(uow, invoice_id)
    invoice = await uow.get(Invoice, invoice_id, Privilege.WRITE)
    released = invoice.releases
    invoice.cancel(uow.now)
    await pin(uow, invoice)
    if released:
        await bill_again(uow, invoice)
    give_back(uow, invoice, origin)
    return uow.emit(invoice, InvoiceCanceled, canceled_at=uow.now)


async def fall_overdue(uow: UnitOfWork, invoice_id: UUID) -> None:
    """Mark an unpaid invoice as overdue after its due date."""
    invoice = await uow.load(Invoice, invoice_id)
    invoice.overdue_at = uow.now
    facts = {"balance": invoice.balance, "balance_base": invoice.balance_base, "due_date": invoice.due_date}
    uow.emit(invoice, InvoiceOverdue, overdue_at=uow.now, **facts)


async def assign_invoice(uow: UnitOfWork, invoice_id: UUID, body: Assignment) -> Invoice:
    """Assign the invoice to another owner."""
    invoice = await uow.get(Invoice, invoice_id, Privilege.ASSIGN)
    await assign(uow, invoice, body, InvoiceAssigned)
    return invoice


async def delete_invoice(uow: UnitOfWork, invoice_id: UUID) -> None:
    """Delete a draft. Its quantities can be billed again."""
    uow.principal.require(Invoice.entity(), Privilege.DELETE)
    origin = await hold_origin(uow, invoice_id)
    invoice = await uow.get(Invoice, invoice_id, Privilege.DELETE)
    if invoice.status != "draft":
        raise DomainError(
            "not-deletable",
            said(
                "This invoice is {status}. Only a draft can be deleted.", status=status_word("invoice", invoice.status)
            ),
        )
    give_back(uow, invoice, origin)
    uow.remove(invoice, InvoiceDeleted)


def _require_own(invoice: Invoice, body: InvoiceUpdate) -> None:
    """Raise 422 ``fixed-by-origin`` for fields copied from the origin, ``no-due-date`` for a due date of a credit note."""
    if invoice.is_derived and (fixed := sorted(OF_THE_ORIGIN & body.model_fields_set)):
        if invoice.is_credit_note:
            message = said(
                "Leave this out: it comes from the invoice that it credits. To change it, cancel the draft and create another."
            )
        else:
            message = said(
                "Leave this out: it comes from the order that it bills. To change it, cancel the draft and create another."
            )
        raise InvalidValue(f"/{fixed[0]}", "fixed-by-origin", message)
    if invoice.is_credit_note and body.get("due_date") is not None:
        raise InvalidValue("/due_date", "no-due-date", "Leave the due date out: a credit note has none.")
