"""Merge a deal into another (Dataverse: Merge)."""

from typing import Any, get_args
from uuid import UUID

from crm_contracts.sales.choices import EstimatedValueSource
from crm_contracts.sales.opportunity import OpportunityMerged, OpportunityUpdated
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue
from crm_kit.records.merging import both
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.merging.moving import MOVER
from crm_sales.merging.taking import values_taken
from crm_sales.opportunity.documents import give_customer
from crm_sales.opportunity.model import Opportunity
from crm_sales.opportunity.probability import set_probability
from crm_sales.opportunity.schemas import OpportunityMerge, OpportunityMergeField
from crm_sales.price_list.model import PriceList
from crm_sales.pricing.lines import require_currency_of

_TOGETHER = {"customer": ("customer_type", "customer_id"), "lines": ("lines", "product_ids", "price_list_id")}
"""Columns that are taken over together."""
_BY_RULE = frozenset({"probability", "competitor_ids", *_TOGETHER})


async def merge_opportunity(uow: UnitOfWork, opportunity_id: UUID, body: OpportunityMerge) -> Opportunity:
    """Replace an open deal by the survivor, another open one in the same currency. Return the survivor.

    Quotes, orders, invoices and leads of the deal move to the survivor. Documents without a customer get the survivor's.
    """
    loser, survivor = await both(uow, Opportunity, opportunity_id, body.into)
    _require_one_currency(loser, survivor)
    _require_own_value(survivor, body)
    had_customer = survivor.customer_id is not None
    priced_by = survivor.price_list_id, survivor.currency
    await _take_over(uow, loser, survivor, body)
    if (survivor.price_list_id, survivor.currency) != priced_by:
        await _require_currency_of_its_price_list(uow, survivor)
    await pin_amounts(uow, survivor, Opportunity.money_fields)
    # Documents without a customer move at once, so that they get one.
    if survivor.customer_id is not None:
        await give_customer(uow, survivor, of=loser.id)
        if not had_customer:
            await give_customer(uow, survivor)
    loser.merge_into(survivor)
    uow.emit(loser, OpportunityMerged, survivor_id=survivor.id)
    uow.emit_if_changed(survivor, OpportunityUpdated)
    await MOVER.begin(uow, Opportunity.entity(), loser.id, survivor.id)
    return survivor


async def _take_over(uow: UnitOfWork, loser: Opportunity, survivor: Opportunity, body: OpportunityMerge) -> None:
    named = set(body.fields)
    fillable = get_args(OpportunityMergeField) if body.fill_empty else ()
    plain = [field for field in body.fields if field not in _BY_RULE]
    filled = [field for field in fillable if field not in _BY_RULE]
    if survivor.estimated_value_source == EstimatedValueSource.LINES and "estimated_value" in filled:
        filled.remove("estimated_value")
    apply(survivor, values_taken(loser, survivor, plain, filled))
    for field, columns in _TOGETHER.items():
        lacks = field in fillable and not getattr(survivor, columns[0])
        if field in named or (lacks and getattr(loser, columns[0])):
            apply(survivor, {column: _copied(getattr(loser, column)) for column in columns})
            survivor.add_up()
        elif lacks and field == "lines" and survivor.price_list_id is None:
            apply(survivor, {"price_list_id": loser.price_list_id})
    if "probability" in named:
        await set_probability(uow, survivor, loser.probability if loser.probability_overridden else None)
    if "competitor_ids" in named or ("competitor_ids" in fillable and not survivor.competitor_ids):
        survivor.compete_with(list(loser.competitor_ids))


def _require_one_currency(loser: Opportunity, survivor: Opportunity) -> None:
    if None not in (loser.currency, survivor.currency) and loser.currency != survivor.currency:
        message = said(
            "Choose a deal in {currency}: the amounts of that one are in {other}.",
            currency=loser.currency,
            other=survivor.currency,
        )
        raise InvalidValue("/into", "currency-mismatch", message)


async def _require_currency_of_its_price_list(uow: UnitOfWork, survivor: Opportunity) -> None:
    if survivor.price_list_id is not None and survivor.currency is not None:
        require_currency_of(await uow.load(PriceList, survivor.price_list_id), survivor.currency, "/into")


def _require_own_value(survivor: Opportunity, body: OpportunityMerge) -> None:
    if survivor.estimated_value_source == EstimatedValueSource.LINES and "estimated_value" in body.fields:
        message = "Leave this out: the value of the surviving deal is the sum of its lines."
        raise InvalidValue(f"/fields/{body.fields.index('estimated_value')}", "value-from-lines", message)


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value
