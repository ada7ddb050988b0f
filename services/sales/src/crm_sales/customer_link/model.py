"""The columns of a record that belongs to a customer: one reference of two possible types."""

from uuid import UUID

from sqlalchemy import Computed, Index
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from crm_contracts.sales.choices import CustomerType
from crm_kit.store.columns import reference_indexes, text_enum
from crm_kit.store.record import Record
from crm_kit.store.refers import reference, refers


class BelongsToCustomer:
    """The columns ``customer_type`` and ``customer_id``.

    The database computes two more columns from them. Their foreign keys guard the reference, which can name an account
    or a contact.
    """

    @declared_attr
    @classmethod
    def customer_type(cls) -> Mapped[CustomerType | None]:
        return mapped_column(text_enum(CustomerType))

    customer_id: Mapped[UUID | None] = mapped_column(info=refers("account", "contact"))

    @declared_attr
    @classmethod
    def customer_account_id(cls) -> Mapped[UUID | None]:
        kept = Computed("case when customer_type = 'account' then customer_id end", persisted=True)
        return reference("account", kept)

    @declared_attr
    @classmethod
    def customer_contact_id(cls) -> Mapped[UUID | None]:
        kept = Computed("case when customer_type = 'contact' then customer_id end", persisted=True)
        return reference("contact", kept)

    def belong_to(self, customer: Record | None) -> None:
        """Set the customer, or clear it with None."""
        self.customer_type = CustomerType(customer.entity()) if customer else None
        self.customer_id = customer.id if customer else None


def customer_indexes(table: str) -> list[Index]:
    """Return the indexes for finding records by customer, and for finding whether a customer is in use."""
    return reference_indexes(table, "customer_account_id", "customer_contact_id", "customer_id")
