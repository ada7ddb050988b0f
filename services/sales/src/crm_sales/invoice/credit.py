"""Credit an invoice."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from crm_contracts.access import Privilege
from crm_contracts.money import Money, total
from crm_contracts.sales.choices import InvoiceKind
from crm_contracts.sales.invoice import InvoiceCreated, InvoiceUpdated
from crm_contracts.sentences import said
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.parts import take_part
from crm_sales.document.pricing import pin
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.parts import draft_part
from crm_sales.invoice.schemas import Credit
from crm_sales.pricing.in_base import share_of_rest
from crm_sales.pricing.shares import share_of

SIGNS: Final = {"subtotal": 1, "discount_total": -1, "freight": 1, "tax_total": 1}
"""The parts of a total, and whether they raise or lower it."""


async def credit_invoice(uow: UnitOfWork, invoice_id: UUID, body: Credit) -> Invoice:
    """Draft a credit note over these quantities, owned by the caller. The invoice counts them as credited at once.

    The credit note uses the invoice's exchange rate. The last of several takes what the others left in base currency, so that
    crediting everything leaves no rest.
    """
    invoice = await uow.get(Invoice, invoice_id, Privilege.WRITE)
    invoice.require("credit")
    quantities = await take_part(
        uow, invoice, invoice.uncredited(), body.lines, said("no more can be credited than was invoiced")
    )
    others = await _credit_notes(uow, invoice)
    share = invoice.amounts().without(one.amounts() for one in others).share(quantities)
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
    if invoice.exchange_rate is not None and invoice.exchange_rate != 1:
        take_in_base(note, invoice, others)
        await pin(uow, note)
    uow.add(note, InvoiceCreated)
    invoice.credit(quantities)
    uow.emit(invoice, InvoiceUpdated)
    return note


async def _credit_notes(uow: UnitOfWork, invoice: Invoice) -> list[Invoice]:
    """Return the invoice's credit notes that are not canceled."""
    if not any(line.credited_quantity for line in invoice.read_lines()):
        return []
    table = Invoice.__table__
    live = select(*(table.c[column] for column in stored_columns(Invoice))).where(
        table.c.credited_invoice_id == invoice.id, table.c.status != "canceled"
    )
    return [Invoice.from_row(dict(row)) for row in (await uow.execute(live)).mappings()]


def take_in_base(note: Invoice, invoice: Invoice, others: Sequence[Invoice]) -> None:
    """Set the amounts in base currency of a credit note to its share of what the others have left of the invoice's.

    The last credit note takes the rest, so that all add up to the invoice (ADR 26).
    """
    nothing = {False: Money.zero(note.currency), True: Money.zero(note.total_base.currency)}

    def left(field: str) -> Money:
        zero = nothing[field.endswith("_base")]
        found: Money = getattr(invoice, field) or zero
        for other in others:
            found -= getattr(other, field) or zero
        return found

    taken = share_of_rest(
        [sign * (getattr(note, field) or nothing[False]) for field, sign in SIGNS.items()],
        [sign * left(field) for field, sign in SIGNS.items()],
        [sign * left(f"{field}_base") for field, sign in SIGNS.items()],
    )
    for (field, sign), amount in zip(SIGNS.items(), taken, strict=True):
        if getattr(note, field) is not None:
            setattr(note, f"{field}_base", sign * amount)
    note.total_base = total(taken, note.total_base.currency)
    if note.discount_amount is not None:
        rest, of = left("discount_amount_base"), left("discount_amount")
        note.discount_amount_base = share_of(rest, note.discount_amount.amount, of.amount)
