"""What clients send about orders and what they get."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.order import LineQuantity, OrderRecord
from crm_contracts.sales.pricing import MAX_LINES
from crm_contracts.types import CurrencyCode, Date, Flag, Maybe, ShortText
from crm_kit.records.patch import Patch, optional
from crm_sales.customer_link.schemas import CustomerShown
from crm_sales.document.schemas import DocumentFields
from crm_sales.pricing.schemas import LineInput


class OrderLineInput(LineInput):
    """One line of an order: so much of a product, or of something written in. What was read may be sent back as it is."""

    shipped_quantity: Any = Field(
        None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )
    invoiced_quantity: Any = Field(
        None, exclude=True, description="Read-only; ignored.", json_schema_extra={"readOnly": True}
    )


class OrderFields(DocumentFields):
    """The fields of an order that clients write. Texts are trimmed; an empty text is null."""

    requested_delivery: Date | None = Field(None, description="When the customer wants it, YYYY-MM-DD.")
    lines: Annotated[Sequence[OrderLineInput], Field(max_length=MAX_LINES)] = Field(
        [], description="All lines, in order; at most 500. Those left out are removed."
    )


class OrderCreate(OrderFields):
    """A new order by hand."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Fleet of 40 cars",
                    "payment_terms": "net_30",
                    "lines": [
                        {
                            "name": "Delivery van",
                            "quantity": "40",
                            "unit_price": {"amount": "22500.00", "currency": "EUR"},
                            "tax_percent": 19,
                        }
                    ],
                }
            ]
        }
    )

    name: ShortText = Field(description="What the order is called, 1 to 200 characters.")
    currency: CurrencyCode | None = Field(
        None,
        description="Currency of all amounts; the price list's, else that of the first amount, else the base currency.",
    )
    prices_locked: Flag = Field(False, description="Whether lines keep their prices whatever the price list says.")


class OrderUpdate(Patch, OrderFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field. `lines` are sent whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"requested_delivery": "2026-09-01"}]})

    name: ShortText = optional("What the order is called, 1 to 200 characters.")


class OrderSubmission(BaseModel):
    """Whether the order is submitted on credit that the customer does not have."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    force: Flag = Field(
        False,
        description="Submit it although the account is on credit hold or the order exceeds its credit limit; needs the "
        "right `credit_override`.",
    )


class OrderOfQuote(BaseModel):
    """What an order says beside its quote."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"requested_delivery": "2026-09-01"}]})

    name: Maybe[ShortText] = Field(None, description="What the order is called; the quote's name unless given.")
    requested_delivery: Date | None = Field(None, description="When the customer wants it, YYYY-MM-DD.")


class LineQuantities(BaseModel):
    """So much of some lines; all that is left of every line when none is named."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}]})

    lines: Annotated[list[LineQuantity], Field(min_length=1, max_length=MAX_LINES)] | None = Field(
        None, description="How much of which lines; all that is left of every line unless given."
    )


class OrderRead(OrderRecord):
    """An order as you may see it."""

    customer: CustomerShown | None = Field(
        description="Account or contact; may be missing while its deal has none; `hidden` without its name"
        " where you may not read it."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
