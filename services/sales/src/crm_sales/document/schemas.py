"""What clients write of every document with lines: quotes, orders and invoices."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.sales.choices import PaymentTerms
from crm_contracts.sales.payment_conditions import PaymentConditions
from crm_contracts.types import Address, LongText, Maybe, NonNegativeMoney, Percent, Personal
from crm_sales.customer_link.schemas import CustomerInput
from crm_sales.pricing.schemas import LineInputs


class DocumentFields(BaseModel):
    """The fields that quotes, orders and invoices have in common. Texts are trimmed; an empty text is null."""

    model_config = ConfigDict(extra="forbid")

    opportunity_id: UUID | None = Field(
        None,
        description="Deal that it is part of, readable to you; open for a quote, open or won for an order or invoice.",
    )
    customer: CustomerInput | None = Field(
        None, description="Account or contact, active and readable to you; of a new document: the deal's unless given."
    )
    campaign_id: UUID | None = Field(
        None,
        description="Campaign that brought it, readable to you, and in any state; of a new document: the deal's unless given.",
    )
    bill_to: Personal[Address | None] = Field(
        None, description="Address for the invoice; of a new document: the customer's unless given."
    )
    ship_to: Personal[Address | None] = Field(
        None, description="Address for the delivery; of a new document: the customer's unless given."
    )
    payment_terms: PaymentTerms | None = Field(
        None, description="When an invoice is due, counted from its issue. Replaces `payment_conditions`."
    )
    payment_conditions: PaymentConditions | None = Field(
        None,
        description="The same as data: days, end of month, and a discount for early payment. Replaces `payment_terms`; "
        "send one of the two.",
    )
    price_list_id: UUID | None = Field(
        None, description="Price list in force that prices come from, in the currency of the document."
    )
    lines: LineInputs = Field([], description="All lines, in order; at most 500. Those left out are removed.")
    discount_percent: Percent | None = Field(None, description="Discount on the subtotal in percent, 0 to 100.")
    discount_amount: NonNegativeMoney | None = Field(None, description="Discount on the subtotal as an amount.")
    freight: NonNegativeMoney | None = Field(None, description="Cost of delivery, without tax.")
    description: Maybe[LongText] = Field(None, description="Free text, at most 32,000 characters.")
