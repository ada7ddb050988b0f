"""Commands on leads. Qualifying is in ``qualify.py``."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.sales.lead import (
    LeadAssigned,
    LeadContacted,
    LeadCreated,
    LeadDeleted,
    LeadDisqualified,
    LeadReopened,
    LeadUpdated,
)
from crm_kit.errors import DomainError
from crm_kit.importing.importer import Importer
from crm_kit.records.patch import plain
from crm_kit.records.patching import Assignment, apply, assign, require_status
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use
from crm_sales.contact_details import normal_details
from crm_sales.duplicates.importing import duplicates_of_rows
from crm_sales.duplicates.likeness import likeness_of
from crm_sales.duplicates.refusing import refuse_duplicates_of
from crm_sales.duplicates.schemas import OnDuplicates
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.lead.domain import require_somebody
from crm_sales.lead.model import Lead
from crm_sales.lead.schemas import LeadCreate, LeadDisqualification, LeadUpdate
from crm_sales.merging.moving import MOVER
from crm_sales.opportunity.model import Opportunity
from crm_sales.projections.campaign_ref import CampaignRef, refer_to_campaign


async def create_lead(uow: UnitOfWork, body: LeadCreate, duplicates: OnDuplicates = "allow") -> Lead:
    """Create a lead. The caller owns it."""
    await uow.start(Lead)
    lead = await make_lead(uow, body)
    if duplicates == "report":
        await refuse_duplicates_of(uow, lead)
    return uow.add(lead, LeadCreated)


async def make_lead(uow: UnitOfWork, body: LeadCreate) -> Lead:
    """Make a lead of a body without adding it to the unit of work. Creates and imports share this."""
    await refer_to_campaign(uow, body.campaign_id)
    lead = Lead(
        number=await uow.number(Lead.numbered), **normal_details(uow, {name: plain(value) for name, value in body})
    )
    await pin_amounts(uow, lead, Lead.money_fields)
    return lead


async def update_lead(uow: UnitOfWork, lead_id: UUID, body: LeadUpdate, duplicates: OnDuplicates = "allow") -> Lead:
    """Change fields of an open lead. A patch that changes no value does nothing."""
    lead = await uow.get(Lead, lead_id, Privilege.WRITE)
    require_status(lead, "open")
    known = likeness_of(lead)
    values = body.onto(lead)
    await refer_to_campaign(uow, values.get("campaign_id"), lead.campaign_id)
    apply(lead, normal_details(uow, values))
    require_somebody(lead.last_name, lead.company_name)
    await pin_amounts(uow, lead, Lead.money_fields)
    if duplicates == "report" and likeness_of(lead) != known:
        await refuse_duplicates_of(uow, lead)
    return uow.emit_if_changed(lead, LeadUpdated)


IMPORTER = Importer(
    Lead,
    LeadCreate,
    LeadCreated,
    make_lead,
    duplicates_of_rows,
    patch=LeadUpdate,
    change=update_lead,
    refers={"campaign_id": CampaignRef},
)


async def contact_lead(uow: UnitOfWork, lead_id: UUID) -> Lead:
    """Record the first contact with the lead."""
    lead = await uow.get(Lead, lead_id, Privilege.WRITE)
    lead.contact()
    return uow.emit(lead, LeadContacted)


async def disqualify_lead(uow: UnitOfWork, lead_id: UUID, body: LeadDisqualification) -> Lead:
    """Disqualify the lead."""
    lead = await uow.get(Lead, lead_id, Privilege.WRITE)
    lead.disqualify(body.reason, uow.now)
    return uow.emit(lead, LeadDisqualified, reason=lead.status_reason)


async def reopen_lead(uow: UnitOfWork, lead_id: UUID) -> Lead:
    """Reopen a closed lead. A qualified lead can be reopened only while its opportunity is open."""
    lead = await uow.get(Lead, lead_id, Privilege.WRITE)
    if lead.status == "qualified" and lead.opportunity_id is not None:
        deal = await uow.load(Opportunity, lead.opportunity_id)
        if deal.status != "open":
            raise DomainError(
                "illegal-transition",
                "The lead's opportunity is closed. Reopen the opportunity first.",
                members={"record_status": lead.status, "status_reason": lead.status_reason, "allowed": []},
            )
    lead.reopen()
    return uow.emit(lead, LeadReopened)


async def assign_lead(uow: UnitOfWork, lead_id: UUID, body: Assignment) -> Lead:
    """Assign the lead to another owner."""
    lead = await uow.get(Lead, lead_id, Privilege.ASSIGN)
    await assign(uow, lead, body, LeadAssigned)
    return lead


async def delete_lead(uow: UnitOfWork, lead_id: UUID) -> None:
    """Delete a lead that is not qualified and that no record refers to."""
    lead = await uow.get(Lead, lead_id, Privilege.DELETE)
    if lead.status == "qualified":
        raise DomainError(
            "not-deletable", "A qualified lead cannot be deleted, because it records where a customer came from."
        )
    await MOVER.refuse_target(uow, lead)
    await refuse_in_use(uow, lead)
    uow.remove(lead, LeadDeleted)
