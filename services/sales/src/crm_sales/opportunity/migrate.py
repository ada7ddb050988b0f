"""Import deals of another system as they are: open, won or lost, with their own dates.

Each deal is one new record and one ``created`` event, whatever its status. Nothing that follows a win happens: no
follow-up task, no new tier of the customer.
"""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from crm_contracts.sales.choices import EstimatedValueSource, LossReason, OpportunityStatus
from crm_contracts.sales.opportunity import OpportunityCreated
from crm_contracts.sentences import said, status_word
from crm_contracts.types import Date, UtcDatetime
from crm_kit.errors import InvalidValue
from crm_kit.importing.importer import Importer
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork
from crm_sales.customer_link.references import set_customer
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.lead.model import Lead
from crm_sales.opportunity.commands import update_opportunity
from crm_sales.opportunity.competing import set_competitors
from crm_sales.opportunity.domain import require_past, require_value
from crm_sales.opportunity.lines import price_deal
from crm_sales.opportunity.model import Opportunity
from crm_sales.opportunity.schemas import OpportunityImport, OpportunityLines, OpportunityUpdate
from crm_sales.pricing.schemas import LineInput
from crm_sales.product.model import Product
from crm_sales.projections.campaign_ref import CampaignRef, refer_to_campaign
from crm_sales.sales_stage.queries import first_stage, stage_with

# Fields without a column, or that a method of the model sets.
_CLOSE = ("status", "reason", "closed_at", "actual_value", "note")
_LINE = ("product_id", "quantity", "unit_price")
_TOLD = ("customer", "competitor_ids", "stage", "opened_at", *_CLOSE, *_LINE)


async def make_migrated(uow: UnitOfWork, body: OpportunityImport) -> Opportunity:
    """Make a deal of one row without adding it to the unit of work.

    422 for each rule on closing a deal, ``closed-before-opened``, ``closed-at-required``, and ``not-closed`` for a
    field of closed deals on an open one.
    """
    opened, closed = _days(uow, body)
    values = {name: value for name, value in body if name not in _TOLD}
    deal = Opportunity(
        id=new_id(),
        number=await uow.number(Opportunity.numbered),
        stages=[],
        closes=[],
        competitor_ids=[],
        lines=[],
        product_ids=[],
        estimated_value_source=EstimatedValueSource.USER,
        probability_overridden=body.probability is not None,
        **values,
    )
    deal.enter_lifecycle()
    await set_customer(uow, deal, body.customer)
    if body.originating_lead_id is not None:
        await uow.refer(Lead, body.originating_lead_id, "/originating_lead_id")
    await refer_to_campaign(uow, body.campaign_id)
    await set_competitors(uow, deal, body.competitor_ids)
    key = body.stage_id or body.stage
    pointer = "/stage_id" if body.stage_id else "/stage"
    deal.enter(await first_stage(uow) if key is None else await stage_with(uow, key, pointer), opened)
    if closed is not None:
        _close(uow, deal, body, closed)
    await _sell(uow, deal, body)
    await pin_amounts(uow, deal, Opportunity.money_fields)
    return deal


def _days(uow: UnitOfWork, body: OpportunityImport) -> tuple[datetime, datetime | None]:
    """Return when the deal was opened, and when it was closed."""
    if body.status == OpportunityStatus.OPEN:
        for field in ("closed_at", "actual_value", "reason", "note"):
            if getattr(body, field) is not None:
                raise InvalidValue(f"/{field}", "not-closed", "Leave this out: the deal is open.")
        opened = uow.now if body.opened_at is None else _instant(uow, body.opened_at)
        return _require_begun(opened, uow.now), None
    if body.closed_at is None:
        raise InvalidValue(
            "/closed_at",
            "closed-at-required",
            said("Send the time at which the deal was {status}.", status=status_word("opportunity", body.status)),
        )
    closed = require_past(_instant(uow, body.closed_at), uow.now)
    opened = closed if body.opened_at is None else _instant(uow, body.opened_at)
    if closed < opened:
        raise InvalidValue("/closed_at", "closed-before-opened", "Send a closed_at that is not before opened_at.")
    return opened, closed


def _close(uow: UnitOfWork, deal: Opportunity, body: OpportunityImport, at: datetime) -> None:
    if body.status == OpportunityStatus.WON:
        if body.reason is not None:
            raise InvalidValue("/reason", "not-lost", "Leave the reason out: only a lost deal has one.")
        if deal.customer_id is None:
            raise InvalidValue("/customer", "customer-required", "Send the customer: a won deal has one.")
        value = require_value(deal.estimated_value if body.actual_value is None else body.actual_value)
        deal.win(value, at, body.note, uow.principal.author)
        return
    if body.actual_value is not None:
        raise InvalidValue("/actual_value", "not-won", "Leave the actual value out: only a won deal has one.")
    deal.lose(body.reason or LossReason.CANCELED, at, body.note, uow.principal.author)


async def _sell(uow: UnitOfWork, deal: Opportunity, body: OpportunityImport) -> None:
    """Add the single line that a row can describe. Pointers in its errors refer to the row."""
    if body.product_id is None:
        for field in ("quantity", "unit_price"):
            if getattr(body, field) is not None:
                raise InvalidValue(f"/{field}", "product-required", "Send the product too, or leave this out.")
        return
    line = LineInput(product_id=body.product_id, quantity=body.quantity or Decimal(1), unit_price=body.unit_price)
    try:
        await price_deal(uow, deal, OpportunityLines(price_list_id=body.price_list_id, lines=[line]), {"lines"})
    except InvalidValue as error:
        raise InvalidValue(error.errors[0].pointer.removeprefix("/lines/0"), error.slug, error.detail) from error


def _instant(uow: UnitOfWork, at: UtcDatetime | Date) -> datetime:
    """Return an instant unchanged, and a date as the start of that day in the organisation's time zone."""
    if isinstance(at, datetime):
        return at
    zone = ZoneInfo(uow.runtime.directory.organization.time_zone)
    return datetime(at.year, at.month, at.day, tzinfo=zone).astimezone(ZoneInfo("UTC"))


def _require_begun(opened: datetime, now: datetime) -> datetime:
    if opened > now:
        raise InvalidValue("/opened_at", "in-the-future", "Send a time that is not in the future.")
    return opened


IMPORTER = Importer(
    Opportunity,
    OpportunityImport,
    OpportunityCreated,
    make_migrated,
    patch=OpportunityUpdate,
    change=update_opportunity,
    refers={"product_id": Product, "campaign_id": CampaignRef},
    about="They may be open or closed in another system, and keep the days that they had there. Beside the fields of a create "
    "a row may say `stage`, `status` (`open`, `won`, `lost`), `reason`, `opened_at`, `closed_at` (instants, or days in the "
    "organisation's time zone), `actual_value` and `note`. Each deal is one `created` event at the state it stands in: nobody "
    "won it now, so no follow-up and no new tier follows.",
)
