"""Pass the customer of a deal on to its quotes, orders and invoices."""

from sqlalchemy import select

from crm_contracts.catalogue import Event
from crm_contracts.sales.invoice import InvoiceUpdated
from crm_contracts.sales.order import OrderUpdated
from crm_contracts.sales.quote import QuoteUpdated
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.model import SalesDocument
from crm_sales.invoice.model import Invoice
from crm_sales.opportunity.model import Opportunity
from crm_sales.order.model import Order
from crm_sales.quote.model import Quote

# The order in which they are locked everywhere. A document made concurrently of another one is found after it.
DOCUMENTS: tuple[tuple[type[SalesDocument], type[Event]], ...] = (
    (Quote, QuoteUpdated),
    (Order, OrderUpdated),
    (Invoice, InvoiceUpdated),
)


async def give_customer(uow: UnitOfWork, deal: Opportunity) -> None:
    """Set the deal's customer on each of its documents without customer, whatever its status.

    The deal must be locked.
    """
    for entity, updated in DOCUMENTS:
        table = entity.__table__
        orphans = (
            select(*(table.c[column] for column in stored_columns(entity)))
            .where(table.c.opportunity_id == deal.id, table.c.customer_id.is_(None))
            .order_by(table.c.id)
            .with_for_update(key_share=True)
        )
        for row in (await uow.execute(orphans)).mappings().all():
            document = uow.adopt(entity.from_row(dict(row)))
            document.customer_type, document.customer_id = deal.customer_type, deal.customer_id
            uow.emit(document, updated)
