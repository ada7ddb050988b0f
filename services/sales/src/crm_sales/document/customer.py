"""The check that a binding document has a customer."""

from sqlalchemy import select

from crm_contracts.sales.choices import CustomerCreation
from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork
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
