"""What clients send about invoices and credit notes and what they get."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.choices import PaymentMethod
from crm_contracts.sales.invoice import InvoiceRecord
from crm_contracts.sales.order import LineQuantity
from crm_contracts.sales.pricing import MAX_LINES
from crm_contracts.types import CurrencyCode, Date, Flag, Maybe, NonNegativeMoney, Personal, ShortText, UtcDatetime
from crm_kit.records.patch import Patch, optional
from crm_sales.customer_link.schemas import CustomerShown
from crm_sales.document.schemas import DocumentFields
from crm_sales.pricing.schemas import LineInput


class InvoiceLineInput(LineInput):
    """One line of an invoice by hand: so much of a product, or of something written in. What was read may be sent back."""

    order_line_id: Any = Field(
        None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )
    credited_quantity: Any = Field(
        None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )


class InvoiceFields(DocumentFields):
    """The fields of an invoice that clients write. Texts are trimmed; an empty text is null."""

    due_date: Date | None = Field(
        None, description="Day until which it is to be paid; by `payment_terms`, counted from its issue, unless given."
    )
    lines: Annotated[Sequence[InvoiceLineInput], Field(max_length=MAX_LINES)] = Field(
        [], description="All lines, in order; at most 500. Those left out are removed."
    )


class InvoiceCreate(InvoiceFields):
    """A new invoice by hand, without an order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Consulting in March",
                    "payment_terms": "net_30",
                    "lines": [
                        {
                            "name": "Consulting",
                            "unit": "hour",
                            "quantity": "7.5",
                            "unit_price": {"amount": "120.00", "currency": "EUR"},
                            "tax_percent": 19,
                        }
                    ],
                }
            ]
        }
    )

    name: ShortText = Field(description="What the invoice is called, 1 to 200 characters.")
    currency: CurrencyCode | None = Field(
        None,
        description="Currency of all amounts; the price list's, else that of the first amount, else the base currency.",
    )


class InvoiceUpdate(Patch, InvoiceFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field. `lines` are sent whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payment_terms": "net_60"}]})

    name: ShortText = optional("What the invoice is called, 1 to 200 characters.")


class Payment(BaseModel):
    """Money that was received for an invoice, or paid back for a credit note."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "amount": {"amount": "100.00", "currency": "EUR"},
                    "method": "bank_transfer",
                    "reference": "INV-00042",
                }
            ]
        },
    )

    amount: NonNegativeMoney = Field(description="How much, above zero and at most the balance.")
    method: PaymentMethod = Field(description="How it was paid.")
    reference: Personal[Maybe[ShortText]] = Field(
        None, description="What the bank statement or receipt says, at most 200 characters."
    )
    paid_at: UtcDatetime | None = Field(None, description="When it was paid; now unless given, never in the future.")


class Reversal(BaseModel):
    """Why a payment is reversed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "The bank returned the direct debit"}]}
    )

    reason: ShortText = Field(description="Why, 1 to 200 characters.")


class Credit(BaseModel):
    """What of an invoice is given back, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "Returned"}]})

    lines: Annotated[list[LineQuantity], Field(min_length=1, max_length=MAX_LINES)] | None = Field(
        None, description="How much of which lines; all that is left of every line unless given."
    )
    reason: ShortText = Field(description="Why, at most 200 characters.")
    bill_again: Flag = Field(
        True,
        description="Whether the order can be billed again over what is credited, once the credit note is issued. "
        "`false` for goods that came back or a price that was lowered. Without an order it means nothing.",
    )


class InvoiceRead(InvoiceRecord):
    """An invoice as you may see it."""

    customer: CustomerShown | None = Field(
        description="Account or contact; may be missing while its deal has none; `hidden` without its name"
        " where you may not read it."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
