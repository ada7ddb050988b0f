"""The columns that quotes, orders and invoices share, except lines and totals."""

from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from crm_contracts.sales.choices import PaymentTerms
from crm_kit.store.columns import reference_indexes, text_enum
from crm_kit.store.record import OwnedRecord, Stateful
from crm_kit.store.refers import reference, refers
from crm_sales.customer_link.model import BelongsToCustomer, customer_indexes
from crm_sales.pricing.model import PricedDocument


class SalesDocument(OwnedRecord, Stateful, PricedDocument, BelongsToCustomer):
    """A document with lines for a customer: its name, its deal and its addresses."""

    name: Mapped[str] = mapped_column(String(200))
    campaign_id: Mapped[UUID | None] = mapped_column(info=refers("campaign"))
    bill_to: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    ship_to: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    description: Mapped[str | None] = mapped_column(Text)

    @declared_attr
    @classmethod
    def opportunity_id(cls) -> Mapped[UUID | None]:
        return reference("opportunity")

    @declared_attr
    @classmethod
    def payment_terms(cls) -> Mapped[PaymentTerms | None]:
        return mapped_column(text_enum(PaymentTerms))

    payment_conditions: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


def document_indexes(table: str) -> list[Index]:
    """Return the indexes for finding documents by their references, and for finding whether a referenced record is in
    use."""
    return [
        *customer_indexes(table),
        *reference_indexes(table, "opportunity_id", "campaign_id", "price_list_id"),
        Index(f"ix_{table}_product_ids", "product_ids", postgresql_using="gin"),
    ]
