"""Commands on opportunities. Winning is in ``win.py``, losing in ``competing.py``."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.opportunity import (
    OpportunityAssigned,
    OpportunityCreated,
    OpportunityDeleted,
    OpportunityHeld,
    OpportunityReopened,
    OpportunityResumed,
    OpportunityStageChanged,
    OpportunityUpdated,
    StageRef,
)
from crm_contracts.sentences import said, status_word
from crm_kit.errors import DomainError
from crm_kit.records.patching import Assignment, apply, assign, require_status
from crm_kit.records.references import check_references
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.customer_link.references import set_customer
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.merging.moving import MOVER
from crm_sales.opportunity.competing import set_competitors
from crm_sales.opportunity.documents import give_customer, reopen_quotes
from crm_sales.opportunity.domain import require_own_value
from crm_sales.opportunity.lines import price_deal
from crm_sales.opportunity.model import Opportunity
from crm_sales.opportunity.probability import set_probability
from crm_sales.opportunity.schemas import (
    OpportunityCreate,
    OpportunityReopening,
    OpportunityUpdate,
    StageChange,
)
from crm_sales.projections.campaign_ref import refer_to_campaign
from crm_sales.sales_stage.model import SalesStage
from crm_sales.sales_stage.queries import first_stage, stage_with


async def create_opportunity(uow: UnitOfWork, body: OpportunityCreate) -> Opportunity:
    """Create a deal in the first stage unless the body names another. The caller owns it."""
    await uow.start(Opportunity)
    require_own_value(body.estimated_value_source, body.estimated_value, None)
    values = dict(body)
    customer, stage_id = values.pop("customer"), values.pop("stage_id")
    values |= {"stages": [], "closes": [], "competitor_ids": [], "lines": [], "product_ids": []}
    overridden = body.probability is not None
    deal = Opportunity(probability_overridden=overridden, **values)
    await set_customer(uow, deal, customer)
    await check_references(uow, Opportunity, values)
    await refer_to_campaign(uow, body.campaign_id)
    await set_competitors(uow, deal, body.competitor_ids)
    stage = await first_stage(uow) if stage_id is None else await stage_with(uow, stage_id, "/stage_id")
    deal.enter(stage, uow.now)
    await price_deal(uow, deal, body, body.model_fields_set)
    await pin_amounts(uow, deal, Opportunity.money_fields)
    deal.number = await uow.number(Opportunity.numbered)
    return uow.add(deal, OpportunityCreated)


async def update_opportunity(uow: UnitOfWork, opportunity_id: UUID, body: OpportunityUpdate) -> Opportunity:
    """Change fields of an open deal. A patch that changes no value does nothing."""
    deal = await uow.get(Opportunity, opportunity_id, Privilege.WRITE)
    require_status(deal, "open")
    values = body.onto(deal)
    had_customer = deal.customer_id is not None
    has_new_customer = "customer" in values and await set_customer(uow, deal, values.pop("customer"))
    await check_references(uow, Opportunity, values, deal)
    await refer_to_campaign(uow, values.get("campaign_id"), deal.campaign_id)
    if "competitor_ids" in values:
        deal.compete_with(values.pop("competitor_ids"))
    if "probability" in values:
        await set_probability(uow, deal, values.pop("probability"))
    if "estimated_value" in values:
        source = values.get("estimated_value_source", deal.estimated_value_source)
        require_own_value(source, body.estimated_value, deal.estimated_value)
    values.pop("lines", None)
    changed = {name for name, value in values.items() if getattr(deal, name) != value}
    apply(deal, values)
    await price_deal(uow, deal, body, changed | (body.model_fields_set & {"lines"}))
    await pin_amounts(uow, deal, Opportunity.money_fields)
    if has_new_customer and not had_customer:
        # Nothing may be refused after this: an import goes on after a refused row.
        await give_customer(uow, deal)
    return uow.emit_if_changed(deal, OpportunityUpdated)


async def advance_opportunity(uow: UnitOfWork, opportunity_id: UUID, body: StageChange) -> Opportunity:
    """Move the deal to another stage, forwards or backwards. Moving to its current stage does nothing."""
    deal = await uow.get(Opportunity, opportunity_id, Privilege.WRITE)
    deal.move("advance")
    by_id = body.stage_id is not None
    stage = await stage_with(uow, body.stage_id or body.stage or "", "/stage_id" if by_id else "/stage")
    if stage.id != deal.stage_id:
        before = await stage_with(uow, deal.stage_id, "/stage_id")
        deal.enter(stage, uow.now)
        uow.emit(deal, OpportunityStageChanged, from_stage=_as_it_is(before), to_stage=_as_it_is(stage))
    return deal


async def hold_opportunity(uow: UnitOfWork, opportunity_id: UUID) -> Opportunity:
    """Put the deal on hold."""
    deal = await uow.get(Opportunity, opportunity_id, Privilege.WRITE)
    deal.move("hold")
    return uow.emit(deal, OpportunityHeld)


async def resume_opportunity(uow: UnitOfWork, opportunity_id: UUID) -> Opportunity:
    """Resume the deal."""
    deal = await uow.get(Opportunity, opportunity_id, Privilege.WRITE)
    deal.move("resume")
    return uow.emit(deal, OpportunityResumed)


async def reopen_opportunity(uow: UnitOfWork, opportunity_id: UUID, body: OpportunityReopening) -> Opportunity:
    """Reopen a won or lost deal. Its close records and the customer data that winning made stay.

    The quotes that were closed with it stay closed, unless the body asks to take them up again.
    """
    deal = await uow.get(Opportunity, opportunity_id, Privilege.WRITE)
    deal.reopen(uow.now)
    if body.reopen_quotes and (closed := deal.last_closed_quotes):
        deal.keep_closed_quotes(await reopen_quotes(uow, closed))
    await pin_amounts(uow, deal, Opportunity.money_fields)
    return uow.emit(deal, OpportunityReopened)


async def assign_opportunity(uow: UnitOfWork, opportunity_id: UUID, body: Assignment) -> Opportunity:
    """Assign the deal to another owner."""
    deal = await uow.get(Opportunity, opportunity_id, Privilege.ASSIGN)
    await assign(uow, deal, body, OpportunityAssigned)
    return deal


async def delete_opportunity(uow: UnitOfWork, opportunity_id: UUID) -> None:
    """Delete an open deal that no lead is linked to."""
    deal = await uow.get(Opportunity, opportunity_id, Privilege.DELETE)
    if deal.status != "open":
        raise DomainError(
            "not-deletable",
            said(
                "A {status} deal cannot be deleted, because reports count it.",
                status=status_word("opportunity", deal.status),
            ),
        )
    await refuse_in_use(uow, deal)
    await MOVER.refuse_target(uow, deal)
    uow.remove(deal, OpportunityDeleted)


def _as_it_is(stage: SalesStage) -> StageRef:
    return StageRef(id=stage.id, name=stage.name, position=stage.position, probability=stage.probability)
