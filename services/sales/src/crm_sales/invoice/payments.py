"""Payments of invoices, and repayments for credit notes."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.money import convert
from crm_contracts.sales.invoice import InvoicePaid, InvoicePartiallyPaid, InvoicePayment
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.schemas import Payment


async def pay_invoice(uow: UnitOfWork, invoice_id: UUID, body: Payment) -> Invoice:
    """Record a payment. The sum decides whether it is partial or complete. A payment above the balance is refused."""
    invoice = await uow.get(Invoice, invoice_id, Privilege.WRITE)
    payment = InvoicePayment(
        id=new_id(),
        amount=body.amount,
        method=body.method,
        reference=body.reference,
        paid_at=body.paid_at or uow.now,
        by=uow.principal.author,
    )
    settled = invoice.pay(payment, uow.now)
    await pin_amounts(uow, invoice, Invoice.money_fields)
    assert invoice.exchange_rate is not None  # The rate was pinned when the invoice was drafted.
    base = uow.runtime.directory.organization.base_currency
    facts = {
        "amount": payment.amount,
        "amount_base": convert(payment.amount, invoice.exchange_rate, base),
        "method": payment.method,
        "paid_at": payment.paid_at,
    }
    return uow.emit(invoice, InvoicePaid if settled else InvoicePartiallyPaid, **facts)
