"""The chance to win a deal: that of its stage, or one that a person gave."""

from decimal import Decimal

from crm_kit.work.uow import UnitOfWork
from crm_sales.opportunity.model import Opportunity
from crm_sales.sales_stage.queries import stage_with


async def set_probability(uow: UnitOfWork, deal: Opportunity, wanted: Decimal | None) -> None:
    """Override the stage's probability if the value differs from the current one. Null restores the stage's."""
    if wanted is not None and wanted != deal.probability:
        deal.probability, deal.probability_overridden = wanted, True
    elif wanted is None and deal.probability_overridden:
        stage = await stage_with(uow, deal.stage_id, "/stage_id")
        deal.probability, deal.probability_overridden = stage.probability, False
