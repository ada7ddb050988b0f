"""Merge a lead into another (Dataverse: Merge)."""

from typing import get_args
from uuid import UUID

from crm_contracts.sales.lead import LeadMerged, LeadUpdated
from crm_kit.errors import InvalidValue
from crm_kit.records.merging import both
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.lead.domain import require_somebody
from crm_sales.lead.model import Lead
from crm_sales.lead.schemas import LeadMerge, LeadMergeField
from crm_sales.merging.moving import MOVER
from crm_sales.merging.taking import values_taken
from crm_sales.opt_outs import keep_in_contact, keep_opt_outs


async def merge_lead(uow: UnitOfWork, lead_id: UUID, body: LeadMerge) -> Lead:
    """Merge an open lead into an open or qualified one. Return the survivor.

    The survivor takes over the account, contact and opportunity of the loser where it has none, so that qualifying it
    makes nothing twice. It keeps the opt-outs of both, and so does its contact.
    """
    loser, survivor = await both(uow, Lead, lead_id, body.into)
    if survivor.status != "open" and (body.fields or body.fill_empty):
        pointer = "/fields" if body.fields else "/fill_empty"
        raise InvalidValue(pointer, "read-only-record", "Leave this out: a qualified lead takes no fields over.")
    fillable = get_args(LeadMergeField) if body.fill_empty else ()
    apply(survivor, values_taken(loser, survivor, body.fields, fillable, Lead.money_fields))
    require_somebody(survivor.last_name, survivor.company_name)
    await pin_amounts(uow, survivor, Lead.money_fields)
    survivor.inherit(loser)
    keep_opt_outs(survivor, loser)
    if loser.contact_id != survivor.contact_id:
        await keep_in_contact(uow, loser)
    loser.merge_into(survivor)
    uow.emit(loser, LeadMerged, survivor_id=survivor.id)
    uow.emit_if_changed(survivor, LeadUpdated)
    await keep_in_contact(uow, survivor)
    await MOVER.begin(uow, Lead.entity(), loser.id, survivor.id)
    return survivor
