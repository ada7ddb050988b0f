"""Commands on campaigns."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.marketing import (
    CampaignAssigned,
    CampaignCanceled,
    CampaignCompleted,
    CampaignCreated,
    CampaignDeleted,
    CampaignLaunched,
    CampaignReadied,
    CampaignResumed,
    CampaignSuspended,
    CampaignUpdated,
)
from crm_kit.records.patching import Assignment, apply, assign
from crm_kit.work.calendar import today
from crm_kit.work.uow import UnitOfWork
from crm_marketing.campaign.domain import name_of_copy, require_base_currency, require_not_launched, require_order
from crm_marketing.campaign.model import Campaign
from crm_marketing.campaign.schemas import CampaignCopy, CampaignCreate, CampaignFields, CampaignUpdate

NOT_COPIED = frozenset({"code", "is_template"})
"""Fields that a copy does not take over: the code is unique, and the request says whether the copy is a template."""
COPIED = tuple(field for field in CampaignFields.model_fields if field not in NOT_COPIED)


async def create_campaign(uow: UnitOfWork, body: CampaignCreate) -> Campaign:
    """Create a campaign. The caller owns it."""
    await uow.start(Campaign)
    values = dict(body)
    _require_base_currency(uow, values)
    require_order(body.proposed_start, body.proposed_end)
    return uow.add(Campaign(number=await uow.number(Campaign.numbered), **values), CampaignCreated)


async def update_campaign(uow: UnitOfWork, campaign_id: UUID, body: CampaignUpdate) -> Campaign:
    """Change fields of a campaign of any status. A patch that changes no value does nothing."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.WRITE)
    values = body.onto(campaign)
    _require_base_currency(uow, values)
    if values.get("is_template"):
        require_not_launched(campaign.actual_start)
    apply(campaign, values)
    require_order(campaign.proposed_start, campaign.proposed_end)
    return uow.emit_if_changed(campaign, CampaignUpdated)


async def copy_campaign(uow: UnitOfWork, campaign_id: UUID, body: CampaignCopy) -> Campaign:
    """Create a proposed campaign with the plan of another one (Dataverse: CopyCampaign). The caller owns it."""
    await uow.start(Campaign)
    original = await uow.get(Campaign, campaign_id, Privilege.READ)
    copy = Campaign(
        number=await uow.number(Campaign.numbered),
        name=body.name or name_of_copy(original.name),
        is_template=body.is_template,
        **{field: getattr(original, field) for field in COPIED},
    )
    return uow.add(copy, CampaignCreated)


async def ready_campaign(uow: UnitOfWork, campaign_id: UUID) -> Campaign:
    """Mark the campaign as ready to launch."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.WRITE)
    campaign.ready()
    return uow.emit(campaign, CampaignReadied)


async def launch_campaign(uow: UnitOfWork, campaign_id: UUID) -> Campaign:
    """Launch the campaign."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.WRITE)
    campaign.launch(today(uow))
    return uow.emit(campaign, CampaignLaunched, actual_start=campaign.actual_start)


async def suspend_campaign(uow: UnitOfWork, campaign_id: UUID) -> Campaign:
    """Suspend the campaign."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.WRITE)
    campaign.suspend()
    return uow.emit(campaign, CampaignSuspended)


async def resume_campaign(uow: UnitOfWork, campaign_id: UUID) -> Campaign:
    """Resume the campaign."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.WRITE)
    campaign.resume()
    return uow.emit(campaign, CampaignResumed)


async def complete_campaign(uow: UnitOfWork, campaign_id: UUID) -> Campaign:
    """Complete the campaign."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.WRITE)
    campaign.complete(today(uow))
    return uow.emit(campaign, CampaignCompleted, actual_end=campaign.actual_end)


async def cancel_campaign(uow: UnitOfWork, campaign_id: UUID) -> Campaign:
    """Cancel the campaign."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.WRITE)
    campaign.cancel(today(uow))
    return uow.emit(campaign, CampaignCanceled, actual_end=campaign.actual_end)


async def assign_campaign(uow: UnitOfWork, campaign_id: UUID, body: Assignment) -> Campaign:
    """Assign the campaign to another owner."""
    campaign = await uow.get(Campaign, campaign_id, Privilege.ASSIGN)
    await assign(uow, campaign, body, CampaignAssigned)
    return campaign


async def delete_campaign(uow: UnitOfWork, campaign_id: UUID) -> None:
    """Delete a campaign of any status. Leads and deals keep their reference to it."""
    uow.remove(await uow.get(Campaign, campaign_id, Privilege.DELETE), CampaignDeleted)


def _require_base_currency(uow: UnitOfWork, values: Mapping[str, Any]) -> None:
    base = uow.runtime.directory.organization.base_currency
    for field in Campaign.money_fields:
        require_base_currency(field, values.get(field), base)
