"""Payments of invoices, and repayments for credit notes."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.invoice import InvoicePaid, InvoicePartiallyPaid, InvoicePayment, InvoicePaymentReversed
from crm_kit.store.record import new_id
from crm_kit.work.calendar import day_of
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.pricing import pin
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.schemas import Payment, Reversal


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
    before = invoice.paid_total_base
    settled = invoice.pay(payment, uow.now, day_of(uow, payment.paid_at))
    await pin(uow, invoice)
    facts = {
        "amount": payment.amount,
        "amount_base": invoice.paid_total_base - before,  # so that all payments add up to the total
        "method": payment.method,
        "paid_at": payment.paid_at,
    }
    if settled:
        return uow.emit(invoice, InvoicePaid, **facts, discount=invoice.early_discount_taken)
    return uow.emit(invoice, InvoicePartiallyPaid, **facts)


async def reverse_payment(uow: UnitOfWork, invoice_id: UUID, number: int, body: Reversal) -> Invoice:
    """Reverse a payment that did not arrive or was recorded by mistake. It stays, marked, and its amount is owed again."""
    invoice = await uow.get(Invoice, invoice_id, Privilege.WRITE)
    before = invoice.paid_total_base
    payment = invoice.reverse_payment(number, body.reason, uow.now, uow.principal.author)
    await pin(uow, invoice)
    facts = {
        "payment_id": payment.id,
        "amount": payment.amount,
        "amount_base": before - invoice.paid_total_base,
        "reason": body.reason,
        "reversed_at": uow.now,
    }
    return uow.emit(invoice, InvoicePaymentReversed, **facts)
