"""The opt-outs of a person. They stay in effect when records of the person are merged or make another record."""

from typing import Final

from crm_contracts.sales.contact import ContactUpdated
from crm_kit.work.uow import UnitOfWork
from crm_sales.contact.model import Contact
from crm_sales.lead.model import Lead

OPT_OUTS: Final = ("do_not_email", "do_not_phone", "do_not_post")


def keep_opt_outs(target: Contact | Lead, source: Contact | Lead) -> None:
    """Copy the opt-outs of the source to the target. Only a later change by a user opts in again."""
    for field in OPT_OUTS:
        if getattr(source, field):
            setattr(target, field, True)


async def keep_in_contact(uow: UnitOfWork, lead: Lead) -> None:
    """Copy the opt-outs of the lead to its contact, if it has one."""
    if lead.contact_id is None or not any(getattr(lead, field) for field in OPT_OUTS):
        return
    contact = await uow.load(Contact, lead.contact_id)
    keep_opt_outs(contact, lead)
    uow.emit_if_changed(contact, ContactUpdated)
