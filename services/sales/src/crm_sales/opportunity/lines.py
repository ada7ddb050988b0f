"""The lines of a deal, and the estimated value that follows from them."""

from collections.abc import Set

from crm_kit.work.uow import UnitOfWork
from crm_sales.opportunity.model import Opportunity
from crm_sales.opportunity.schemas import OpportunityLines
from crm_sales.price_list.model import PriceList
from crm_sales.pricing.domain import require_currency
from crm_sales.pricing.lines import as_inputs, currency_of, price_lines, price_list_of, require_currency_of

PRICING = frozenset({"lines", "price_list_id"})
"""Fields that cause the lines to be priced at today's prices."""


async def price_deal(uow: UnitOfWork, deal: Opportunity, body: OpportunityLines, given: Set[str]) -> None:
    """Price the lines if ``given`` names lines or price list, and set the estimated value if the lines determine it.

    Call this after the deal's other fields are set. The lines use the currency of the deal; a deal without amounts
    takes that of the lines.
    """
    if given & PRICING:
        price_list = await price_list_of(uow, deal.price_list_id)
        before = deal.priced_lines
        wanted = body.lines if "lines" in given else as_inputs(before)
        currency = deal.currency or (price_list.currency if price_list else currency_of(wanted))
        currency = currency or uow.runtime.directory.organization.base_currency
        require_currency_of(price_list, currency, "/price_list_id")
        deal.keep_lines(
            await price_lines(uow, wanted, price_list_id=deal.price_list_id, currency=currency, kept=before)
        )
    elif deal.estimated_value is not None:
        if deal.currency_of_lines is not None:
            require_currency(deal.estimated_value, deal.currency_of_lines, "/estimated_value")
        elif "estimated_value" in given and deal.price_list_id is not None:
            price_list = await uow.load(PriceList, deal.price_list_id)
            require_currency(deal.estimated_value, price_list.currency, "/estimated_value")
    if given & (PRICING | {"estimated_value_source"}):
        deal.add_up()
