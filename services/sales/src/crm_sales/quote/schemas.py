"""What clients send about quotes and what they get."""

from pydantic import ConfigDict, Field

from crm_contracts.sales.quote import QuoteRecord
from crm_contracts.types import CurrencyCode, Date, Maybe, ShortText
from crm_kit.records.patch import Patch, optional
from crm_sales.customer_link.schemas import CustomerShown
from crm_sales.document.schemas import DocumentFields


class QuoteFields(DocumentFields):
    """The fields of a quote that clients write. Texts are trimmed; an empty text is null."""

    effective_from: Date | None = Field(None, description="First day of the offer, YYYY-MM-DD.")
    effective_to: Date | None = Field(
        None, description="Last day of the offer, YYYY-MM-DD; an active quote expires when it has passed."
    )


class QuoteCreate(QuoteFields):
    """A new quote, revision 1 of a number of its own."""

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
                    "discount_percent": 2.5,
                    "freight": {"amount": "900.00", "currency": "EUR"},
                }
            ]
        }
    )

    name: Maybe[ShortText] = Field(
        None, description="What is offered, 1 to 200 characters; the deal's name unless given, required without a deal."
    )
    currency: CurrencyCode | None = Field(
        None,
        description="Currency of every amount, for good. Unless given, the price list's, else that of the first amount in the "
        "body, else the base currency.",
    )


class QuoteUpdate(Patch, QuoteFields):
    """A merge patch (RFC 7396): absent fields stay unchanged, null clears a field. `lines` is always the whole list."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payment_terms": "net_45"}]})

    name: ShortText = optional("What is offered, 1 to 200 characters.")


class QuoteRead(QuoteRecord):
    """A quote as you may see it."""

    customer: CustomerShown | None = Field(
        description="Account or contact; may be missing while its deal has none; `hidden` without its name"
        " where you may not read it."
    )
    allowed_actions: list[str] = Field(description="Commands that the current status and your privileges allow.")
