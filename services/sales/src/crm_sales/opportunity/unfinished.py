"""The check before a win for open business: active quotes, and orders that are not fully billed."""

from sqlalchemy import literal, select, union_all

from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import SHOWN, as_referrer
from crm_sales.opportunity.model import Opportunity
from crm_sales.order.model import Order
from crm_sales.quote.model import Quote

UNFINISHED: tuple[tuple[type[Quote] | type[Order], tuple[str, ...]], ...] = (
    (Quote, ("active",)),
    (Order, ("active", "submitted", "fulfilled")),
)
"""The documents and statuses that still need action."""


async def refuse_unfinished(uow: UnitOfWork, deal: Opportunity) -> None:
    """Raise 409 ``unfinished-business`` with up to ten active quotes and orders that are neither invoiced nor canceled.

    Documents that the caller may not read are shown as hidden. A quote activated concurrently counts as activated after
    the win, which is allowed.
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
