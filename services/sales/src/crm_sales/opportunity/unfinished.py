"""What should not be forgotten when a deal is won: quotes that the customer may still accept."""

from sqlalchemy import literal, select

from crm_kit.errors import DomainError
from crm_kit.records.usage import SHOWN, shown
from crm_kit.uow import UnitOfWork
from crm_sales.opportunity.model import Opportunity
from crm_sales.quote.model import Quote


async def refuse_unfinished(uow: UnitOfWork, deal: Opportunity) -> None:
    """409 ``unfinished-business`` listing up to ten active quotes; those the caller may not read only as hidden.

    A quote that is activated at the same moment counts as activated after the win, which is allowed.
    """
    quotes = (
        select(literal(Quote.entity()), Quote.id, Quote.number, Quote.owner_id, Quote.business_unit_id)
        .where(Quote.opportunity_id == deal.id, Quote.status == "active")
        .order_by(Quote.number)
        .limit(SHOWN)
    )
    found = (await uow.execute(quotes)).all()
    if found:
        raise DomainError(
            "unfinished-business",
            "Quotes of this deal are still active; win, lose or cancel them, or send force: true.",
            members={"references": [shown(uow, row) for row in found]},
        )
