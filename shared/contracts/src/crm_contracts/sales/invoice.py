"""Invoices, credit notes and their payments."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from crm_contracts.catalogue import Entity, Event, Raw
from crm_contracts.money import Money
from crm_contracts.records import Owner
from crm_contracts.types import (
    Address,
    Date,
    LongText,
    NonNegativeMoney,
    Open,
    Percent,
    Personal,
    QuantityOrZero,
    Shape,
    ShortText,
    UtcDatetime,
)

from .choices import InvoiceKind, InvoiceStatus, InvoiceStatusReason, PaymentMethod, PaymentTerms
from .opportunity import CustomerRef
from .payment_conditions import PaymentConditions
from .pricing import MAX_LINES, PricedLine, PricedRecord

MAX_PAYMENTS = 500
"""The most payments of an invoice."""

_BASE = "in base currency at `exchange_rate`; read-only."


class InvoiceLine(PricedLine):
    """A line of an invoice or credit note.

    A line that comes from an order or an invoice has the id of the original line, and the share of its `manual_discount`,
    `net` and `tax` that belongs to its quantity. The last part gets the remainder of the rounding, so that all parts add
    up to the original line exactly.
    """

    order_line_id: UUID | None = Field(description="Line of the order that it bills; null without an order.")
    credited_quantity: QuantityOrZero = Field(
        description="How much of it is on credit notes that are not canceled, drafts included, at most `quantity`. "
        "Read-only."
    )


class InvoicePayment(Shape):
    """Money that was received for an invoice, or paid back for a credit note."""

    id: UUID = Field(description="Id of the payment.")
    amount: NonNegativeMoney = Field(description="Amount above zero, in the invoice's currency.")
    method: Open[PaymentMethod] = Field(description="How it was paid.")
    reference: Personal[ShortText | None] = Field(description="Text of the bank statement or the receipt.")
    paid_at: UtcDatetime = Field(description="When it was paid.")
    by: UUID | None = Field(description="Who recorded it; null for the system.")
    reversed_at: UtcDatetime | None = Field(
        None,
        description="When it was reversed: it did not arrive, or was recorded by mistake. A reversed payment is in no sum.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    reversed_by: UUID | None = Field(
        None, description="Who reversed it; null for the system.", json_schema_extra={"x-since": "1.1.0"}
    )
    reversal_reason: ShortText | None = Field(
        None, description="Why it was reversed, at most 200 characters.", json_schema_extra={"x-since": "1.1.0"}
    )


class InvoiceRecord(PricedRecord):
    """An invoice, or a credit note.

    `balance` = `total` - `paid_total` - `credited_total` - `early_discount_taken`, never below zero: for an invoice, the
    amount that the customer still has to pay; for a credit note, the amount that is still to be paid back. Amounts of a
    credit note are positive.
    """

    number: str | None = Field(
        description="Number for use by people, without gaps. It is assigned when the document is issued; null before.",
        examples=["INV-00042"],
    )
    kind: Open[InvoiceKind] = Field(description="`invoice` or `credit_note`.")
    status: Open[InvoiceStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[InvoiceStatusReason] = Field(description="Detail of the state.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Fleet of 40 cars"])
    order_id: UUID | None = Field(description="Order that it bills; read-only.")
    opportunity_id: UUID | None = Field(description="Deal it belongs to.")
    campaign_id: UUID | None = Field(description="Campaign that brought it: the deal's, unless given.")
    credited_invoice_id: UUID | None = Field(description="Invoice that a credit note is for; read-only.")
    customer: CustomerRef | None = Field(description="Account or contact; may be missing while its deal has none.")
    bill_to: Personal[Address | None] = Field(description="Address for the invoice.")
    ship_to: Personal[Address | None] = Field(description="Address for the delivery.")
    payment_terms: Open[PaymentTerms] | None = Field(description="When it is due; on receipt when null.")
    payment_conditions: PaymentConditions | None = Field(
        default=None,
        description="When an invoice is due as days, end of month and discount; null where `payment_terms` says it.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    issue_date: Date | None = Field(description="Day it was issued, in the organisation's time zone; null for a draft.")
    due_date: Date | None = Field(
        description="Day until which it is to be paid, in the organisation's time zone: set when it is issued, by "
        "`payment_terms` unless given before; null for a credit note."
    )
    discount_percent: Percent | None = Field(
        description="Discount on the subtotal in percent, 0 to 100. Of an order it is the order's, and `discount_total` "
        "the share of the order's, so that all invoices of an order add up to it exactly."
    )
    lines: Annotated[list[InvoiceLine], Field(max_length=MAX_LINES)] = Field(description="What is billed, in order.")
    payments: Annotated[list[InvoicePayment], Field(max_length=MAX_PAYMENTS)] = Field(
        description="Payments, in the order in which they were recorded; read-only, changed by `pay` and by the reversal of "
        "a payment."
    )
    paid_total: NonNegativeMoney = Field(description="Sum of the payments that are not reversed; read-only.")
    paid_total_base: Money = Field(description=f"`paid_total` {_BASE}")
    credited_total: NonNegativeMoney = Field(
        description="Sum of the issued credit notes that were offset against it; for a credit note, the "
        "amount that was offset. Read-only."
    )
    credited_total_base: Money = Field(description=f"`credited_total` {_BASE}")
    early_discount_until: Date | None = Field(
        default=None,
        description="Last day for the discount of `payment_conditions`, in the organisation's time zone: set when it is issued. "
        "Read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    early_discount: NonNegativeMoney | None = Field(
        default=None,
        description="Discount for a payment until `early_discount_until`: the percentage of the total that is not credited, "
        "rounded half up. Read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    early_discount_base: Money | None = Field(
        default=None, description=f"`early_discount` {_BASE}", json_schema_extra={"x-since": "1.1.0"}
    )
    early_discount_taken: NonNegativeMoney | None = Field(
        default=None,
        description="Discount that the payment which settled it took. Each credit note lowers it by its share. Null for none, and"
        " when credit notes have taken all of it. Read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    early_discount_taken_base: Money | None = Field(
        default=None, description=f"`early_discount_taken` {_BASE}", json_schema_extra={"x-since": "1.1.0"}
    )
    balance: NonNegativeMoney = Field(description="Amount that is still to be paid; zero if canceled; read-only.")
    balance_base: Money = Field(description=f"`balance` {_BASE}")
    overdue_at: UtcDatetime | None = Field(
        description="When it was found unpaid past its due date; kept when it is paid later; read-only."
    )
    canceled_at: UtcDatetime | None = Field(description="When it was canceled; read-only.")
    reason: ShortText | None = Field(description="Why a credit note was made, at most 200 characters; read-only.")
    bill_again: bool = Field(
        False,
        description="Of a credit note: whether its order can be billed again over what it credits, from its issue on. "
        "Read-only.",
        json_schema_extra={"x-since": "1.1.0"},
    )
    description: LongText | None = Field(description="Free text, at most 32,000 characters.")


def _name(record: Raw) -> str | None:
    """Return the number, or the name while there is no number."""
    return record.get("number") or record.get("name")


INVOICE = Entity(
    service="sales",
    name="invoice",
    collection="invoices",
    record=InvoiceRecord,
    owned=True,
    named=_name,
    kinds={"credit_note": "Credit note"},
)


class InvoiceEvent(Event):
    """Something happened to an invoice or credit note; `record.kind` says which."""

    entity: ClassVar[Entity] = INVOICE
    record: InvoiceRecord


class InvoiceCreated(InvoiceEvent):
    """An invoice or credit note was drafted: by hand, from an order, or to credit an invoice."""

    type: ClassVar[str] = "crm.sales.invoice.created.v1"


class InvoiceUpdated(InvoiceEvent):
    """Fields of a draft changed, or an invoice was credited or a credit was withdrawn, and the invoice is not settled."""

    type: ClassVar[str] = "crm.sales.invoice.updated.v1"


class InvoiceDeleted(InvoiceEvent):
    """A draft was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.sales.invoice.deleted.v1"


class InvoiceAssigned(InvoiceEvent):
    """An invoice was given to another owner."""

    type: ClassVar[str] = "crm.sales.invoice.assigned.v1"
    previous_owner: Owner = Field(description="Owner before.")
    new_owner: Owner = Field(description="Owner now.")


class InvoiceIssued(InvoiceEvent):
    """An invoice got its number and is payable. If nothing is left to pay, or a credit note is offset completely, it is paid
    at once."""

    type: ClassVar[str] = "crm.sales.invoice.issued.v1"
    timeline = ("total", "issue_date", "due_date")
    headline = "total"
    total: NonNegativeMoney = Field(description="Total of the invoice.")
    total_base: Money = Field(description="The same in base currency.")
    issue_date: Date = Field(description="Day it was issued, in the organisation's time zone.")
    due_date: Date | None = Field(description="Last day for the payment; null for a credit note.")


class InvoicePartiallyPaid(InvoiceEvent):
    """A payment was received, or paid back for a credit note, and an amount is left."""

    type: ClassVar[str] = "crm.sales.invoice.partially_paid.v1"
    timeline = ("amount", "method", "paid_at")
    headline = "amount"
    amount: NonNegativeMoney = Field(description="Amount of this payment.")
    amount_base: Money = Field(description="The same in base currency at the invoice's rate.")
    method: Open[PaymentMethod] = Field(description="How it was paid.")
    paid_at: UtcDatetime = Field(description="When it was paid.")


class InvoicePaid(InvoiceEvent):
    """An invoice was settled by the last payment or by a credit note."""

    type: ClassVar[str] = "crm.sales.invoice.paid.v1"
    timeline = ("amount", "method", "paid_at")
    headline = "amount"
    amount: NonNegativeMoney | None = Field(description="Amount of this payment; null if a credit note settled it.")
    amount_base: Money | None = Field(description="The same in base currency at the invoice's rate.")
    method: Open[PaymentMethod] | None = Field(description="How it was paid; null when a credit note settled it.")
    paid_at: UtcDatetime = Field(description="When it was paid or settled.")
    discount: NonNegativeMoney | None = Field(
        default=None,
        description="Discount for early payment that the payment took; null without one.",
        json_schema_extra={"x-since": "1.1.0"},
    )


class InvoicePaymentReversed(InvoiceEvent):
    """A payment was reversed: it did not arrive, or was recorded by mistake. The invoice is owed again by as much."""

    type: ClassVar[str] = "crm.sales.invoice.payment_reversed.v1"
    timeline = ("amount", "reason", "reversed_at")
    headline = "amount"
    payment_id: UUID = Field(description="Id of the payment.")
    amount: NonNegativeMoney = Field(description="Amount of the payment.")
    amount_base: Money = Field(description="How much `paid_total_base` sank by it.")
    reason: ShortText = Field(description="Why it was reversed, at most 200 characters.")
    reversed_at: UtcDatetime = Field(description="When it was reversed.")


class InvoiceOverdue(InvoiceEvent):
    """The due date has passed and an amount is left to pay. This event is published once."""

    type: ClassVar[str] = "crm.sales.invoice.overdue.v1"
    timeline = ("balance", "due_date", "overdue_at")
    headline = "balance"
    balance: NonNegativeMoney = Field(description="Amount that is left to pay.")
    balance_base: Money = Field(description="The same in base currency.")
    due_date: Date = Field(description="Last day for the payment.")
    overdue_at: UtcDatetime = Field(description="When that was detected.")


class InvoiceCanceled(InvoiceEvent):
    """An invoice was canceled before any payment or credit. An issued invoice keeps its number."""

    type: ClassVar[str] = "crm.sales.invoice.canceled.v1"
    timeline = ("canceled_at",)
    canceled_at: UtcDatetime = Field(description="When it was canceled.")


class InvoiceSnapshot(InvoiceEvent):
    """The current state of an invoice, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.sales.invoice.snapshot.v1"
