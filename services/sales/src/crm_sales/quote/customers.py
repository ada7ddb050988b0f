"""A deal's quotes get the customer that the deal gets."""

from sqlalchemy import select

from crm_contracts.sales import QuoteUpdated
from crm_kit.db import stored_columns
from crm_kit.uow import UnitOfWork
from crm_sales.opportunity.model import Opportunity
from crm_sales.quote.model import Quote


async def give_customer(uow: UnitOfWork, deal: Opportunity) -> None:
    """Make every quote of a locked deal that belongs to nobody belong to the deal's customer, whatever its status."""
    table = Quote.__table__
    orphans = (
        select(*(table.c[column] for column in stored_columns(Quote)))
        .where(table.c.opportunity_id == deal.id, table.c.customer_id.is_(None))
        .order_by(table.c.id)
        .with_for_update(key_share=True)
    )
    for row in (await uow.execute(orphans)).mappings().all():
        quote = uow.adopt(Quote.from_row(dict(row)))
        quote.customer_type, quote.customer_id = deal.customer_type, deal.customer_id
        uow.emit(quote, QuoteUpdated)
