"""Merge a contact into another (Dataverse: Merge)."""

from typing import get_args
from uuid import UUID

from crm_contracts.sales.contact import ContactMerged, ContactUpdated
from crm_kit.records.merging import both
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_sales.contact.domain import full_name
from crm_sales.contact.model import Contact
from crm_sales.contact.schemas import ContactMerge, ContactMergeField
from crm_sales.customer_link.references import know_name
from crm_sales.merging.moving import MOVER
from crm_sales.merging.taking import values_taken
from crm_sales.opt_outs import keep_opt_outs


async def merge_contact(uow: UnitOfWork, contact_id: UUID, body: ContactMerge) -> Contact:
    """Replace an active contact by the survivor. Return the survivor, which keeps the opt-outs of both."""
    loser, survivor = await both(uow, Contact, contact_id, body.into)
    fillable = get_args(ContactMergeField) if body.fill_empty else ()
    apply(survivor, values_taken(loser, survivor, body.fields, fillable))
    keep_opt_outs(survivor, loser)
    survivor.full_name = full_name(survivor.first_name, survivor.last_name)
    loser.merge_into(survivor)
    uow.emit(loser, ContactMerged, survivor_id=survivor.id)
    uow.emit_if_changed(survivor, ContactUpdated)
    know_name(uow, survivor)
    await MOVER.begin(uow, Contact.entity(), loser.id, survivor.id)
    return survivor
