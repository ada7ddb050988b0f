"""What should not be forgotten when a deal is won: quotes that may still be accepted, orders that are not all billed."""

from sqlalchemy import literal, select, union_all

from crm_kit.errors import DomainError
from crm_kit.records.usage import SHOWN, as_referrer
from crm_kit.work.uow import UnitOfWork
from crm_sales.opportunity.model import Opportunity
from crm_sales.order.model import Order
from crm_sales.quote.model import Quote

UNFINISHED: tuple[tuple[type[Quote] | type[Order], tuple[str, ...]], ...] = (
    (Quote, ("active",)),
    (Order, ("active", "submitted", "fulfilled")),
)
"""The documents and the statuses in which somebody has yet to do something about them."""


async def refuse_unfinished(uow: UnitOfWork, deal: Opportunity) -> None:
    """409 ``unfinished-business`` listing up to ten active quotes and orders that are neither invoiced nor canceled; those
    the caller may not read only as hidden.

    A quote that is activated at the same moment counts as activated after the win, which is allowed.
    """
    parts = [
        select(literal(kind.entity()), kind.id, kind.number.label("number"), kind.owner_id, kind.business_unit_id)
        .where(kind.opportunity_id == deal.id, kind.status.in_(statuses))
        .order_by(kind.number)
        .limit(SHOWN)
        .subquery()
        .select()
        for kind, statuses in UNFINISHED
    ]
    found = (await uow.execute(union_all(*parts).limit(SHOWN))).all()
    if found:
        raise DomainError(
            "unfinished-business",
            "This deal has active quotes, or orders that are neither invoiced nor canceled. Finish them, or send force: true.",
            members={"references": [as_referrer(uow, row) for row in found]},
        )
