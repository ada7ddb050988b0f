"""The HTTP face of campaigns."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from crm_contracts.access import Privilege
from crm_kit.http.requests import Uow, about
from crm_kit.records.answers import Page, created, gone, one, read
from crm_kit.records.computed import computed
from crm_kit.records.history import HistoryPage, history
from crm_kit.records.listing import Listing, Query, list_records, query_records
from crm_kit.records.parameters import lists, shows_history
from crm_kit.records.patching import Assignment
from crm_marketing.campaign import commands
from crm_marketing.campaign.figures import figures_of
from crm_marketing.campaign.model import Campaign
from crm_marketing.campaign.schemas import (
    CampaignCopy,
    CampaignCreate,
    CampaignFigures,
    CampaignRead,
    CampaignUpdate,
)

router = APIRouter(prefix="/campaigns", tags=["campaigns"], route_class=about(Campaign, copy=Privilege.CREATE))

CAMPAIGNS = Listing(Campaign, sortable=("created_at", "modified_at", "name", "proposed_start"), search="search_text")


@router.get("", response_model=Page[CampaignRead], operation_id="list_campaigns")
@lists(CAMPAIGNS)
async def list_campaigns(request: Request, uow: Uow) -> Response:
    """Campaigns you may read: filter, search name, code and number with `q`, sort, page.

    Filters are `field=value` or `field[op]=value`, such as `status=launched`, `is_template=false` or
    `budget.amount[gte]=1000`. Sort by created_at, modified_at, name or proposed_start.
    """
    return await list_records(uow, CAMPAIGNS, request)


@router.post("/query", response_model=Page[CampaignRead], operation_id="query_campaigns")
async def query_campaigns(query: Query, uow: Uow) -> Response:
    """Campaigns by a JSON filter with and, or, not."""
    return await query_records(uow, CAMPAIGNS, query)


@router.post("", response_model=CampaignRead, status_code=201, operation_id="create_campaign")
async def create_campaign(body: CampaignCreate, uow: Uow) -> Response:
    """A new proposed campaign, owned by you.

    422 `currency-mismatch` for an amount in another currency than the organisation's base currency,
    `end-before-start` for a `proposed_end` before `proposed_start`.
    """
    return await created(uow, await commands.create_campaign(uow, body))


@router.get("/{campaign_id}", response_model=CampaignRead, operation_id="get_campaign")
async def get_campaign(campaign_id: UUID, request: Request, uow: Uow) -> Response:
    """One campaign, with its version as ETag."""
    return await read(uow, Campaign, campaign_id, request)


@router.patch("/{campaign_id}", response_model=CampaignRead, operation_id="update_campaign")
async def update_campaign(campaign_id: UUID, body: CampaignUpdate, uow: Uow) -> Response:
    """Change fields of a campaign (RFC 7396 merge patch), in any status: bills and findings come in after the end too.

    422 as on create, and `already-launched` for making a template of a campaign that was launched.
    """
    return await one(uow, await commands.update_campaign(uow, campaign_id, body))


@router.delete("/{campaign_id}", status_code=204, operation_id="delete_campaign")
async def delete_campaign(campaign_id: UUID, uow: Uow) -> Response:
    """Delete a campaign, whatever its status. Leads and opportunities go on naming it in `campaign_id`."""
    await commands.delete_campaign(uow, campaign_id)
    return gone()


@router.get("/{campaign_id}/history", response_model=HistoryPage, operation_id="list_campaign_history")
@shows_history
async def list_campaign_history(campaign_id: UUID, request: Request, uow: Uow) -> Response:
    """The history of the record, newest first: who changed which field, when, and both values."""
    return await history(uow, Campaign, campaign_id, request)


@router.get("/{campaign_id}/figures", response_model=CampaignFigures, operation_id="get_campaign_figures")
async def get_campaign_figures(campaign_id: UUID, request: Request, uow: Uow) -> Response:
    """The results of the campaign: leads, deals, won revenue and return on investment, live from the events of sales.

    Everybody who may read the campaign sees them, even without access to every lead or deal. They follow sales
    within moments; `Crm-After` with the `Crm-Version` of a lead or opportunity waits for it. The weak ETag changes with
    the figures, not with `as_of`.
    """
    return computed(uow, await figures_of(uow, await uow.read(Campaign, campaign_id)), request)


@router.post("/{campaign_id}/copy", response_model=CampaignRead, status_code=201, operation_id="copy_campaign")
async def copy_campaign(campaign_id: UUID, uow: Uow, body: Annotated[CampaignCopy | None, Body()] = None) -> Response:
    """A new proposed campaign, owned by you, with the plan of this campaign or template (Dataverse: CopyCampaign).

    All fields that clients write are copied, except the code. Needs read on the original and create on campaigns, and is
    possible in any status. With `is_template: true` the copy is a template.
    """
    return await created(uow, await commands.copy_campaign(uow, campaign_id, body or CampaignCopy()))


@router.post("/{campaign_id}/ready", response_model=CampaignRead, operation_id="ready_campaign")
async def ready_campaign(campaign_id: UUID, uow: Uow) -> Response:
    """Mark the campaign as planned: proposed → ready."""
    return await one(uow, await commands.ready_campaign(uow, campaign_id))


@router.post("/{campaign_id}/launch", response_model=CampaignRead, operation_id="launch_campaign")
async def launch_campaign(campaign_id: UUID, uow: Uow) -> Response:
    """Launch the campaign: ready → launched; `actual_start` is today. 409 for a template, which can only be copied."""
    return await one(uow, await commands.launch_campaign(uow, campaign_id))


@router.post("/{campaign_id}/suspend", response_model=CampaignRead, operation_id="suspend_campaign")
async def suspend_campaign(campaign_id: UUID, uow: Uow) -> Response:
    """Suspend the campaign: launched → suspended."""
    return await one(uow, await commands.suspend_campaign(uow, campaign_id))


@router.post("/{campaign_id}/resume", response_model=CampaignRead, operation_id="resume_campaign")
async def resume_campaign(campaign_id: UUID, uow: Uow) -> Response:
    """Resume the campaign: suspended → launched."""
    return await one(uow, await commands.resume_campaign(uow, campaign_id))


@router.post("/{campaign_id}/complete", response_model=CampaignRead, operation_id="complete_campaign")
async def complete_campaign(campaign_id: UUID, uow: Uow) -> Response:
    """Complete the campaign: launched or suspended → completed. This is final; `actual_end` is today."""
    return await one(uow, await commands.complete_campaign(uow, campaign_id))


@router.post("/{campaign_id}/cancel", response_model=CampaignRead, operation_id="cancel_campaign")
async def cancel_campaign(campaign_id: UUID, uow: Uow) -> Response:
    """Cancel the campaign, before or after its launch: → canceled. This is final; `actual_end` is today."""
    return await one(uow, await commands.cancel_campaign(uow, campaign_id))


@router.post("/{campaign_id}/assign", response_model=CampaignRead, operation_id="assign_campaign")
async def assign_campaign(campaign_id: UUID, body: Assignment, uow: Uow) -> Response:
    """Give the campaign to another user or team; 422 for an unknown or inactive one."""
    return await one(uow, await commands.assign_campaign(uow, campaign_id, body))
