"""The checks of a document's customer: a binding document has one, and nothing new is sold to an inactive one."""

from sqlalchemy import select

from crm_contracts.sales.choices import CustomerCreation
from crm_contracts.sentences import entity_word, said
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.customer_link.model import BelongsToCustomer
from crm_sales.customer_link.references import CUSTOMERS, know_name
from crm_sales.document.model import SalesDocument
from crm_sales.opportunity.model import Opportunity
from crm_sales.settings.model import SalesSettings


async def require_customer(uow: UnitOfWork, document: SalesDocument, message: str) -> None:
    """Raise 422 ``customer-required`` for a document without customer, unless winning its deal will make the customer.

    A person can buy before there is an account or contact: a bank's applicants do.
    """
    if document.customer_id is not None:
        return
    coming = select(Opportunity.id).where(
        Opportunity.id == document.opportunity_id,
        Opportunity.status == "open",
        Opportunity.customer_id.is_(None),
        Opportunity.originating_lead_id.is_not(None),
        select(SalesSettings.customer_creation).limit(1).scalar_subquery() == CustomerCreation.ON_WIN,
    )
    if (await uow.execute(coming)).one_or_none() is None:
        raise DomainError("customer-required", message)


async def require_active_customer(
    uow: UnitOfWork, record: BelongsToCustomer, known: Account | Contact | None = None
) -> Account | Contact | None:
    """Raise 422 ``inactive-reference`` if the customer is inactive. Return the customer as it is stored, not locked.

    Access is not checked: the caller may sell to a customer that the caller may not read. ``known`` is the customer if it
    was loaded before.
    """
    if record.customer_id is None or record.customer_type is None:
        return None
    customer = known
    if customer is None:
        kind = CUSTOMERS[record.customer_type]
        table = kind.__table__
        found = select(*(table.c[column] for column in stored_columns(kind))).where(table.c.id == record.customer_id)
        customer = kind.from_row(dict((await uow.execute(found)).mappings().one()))
        know_name(uow, customer)
    if customer.status == "inactive":
        message = said(
            "The {kind} is inactive. Activate it first, or choose another customer.",
            kind=entity_word(customer.entity()),
        )
        raise InvalidValue("/customer", "inactive-reference", message)
    return customer
