"""What a contact takes over from its lead: opt-outs, which stay in effect when records of the person are merged or make another
record, and the account that is made beside it."""

from typing import Final

from crm_contracts.sales.contact import ContactUpdated
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.lead.model import Lead

OPT_OUTS: Final = ("do_not_email", "do_not_phone", "do_not_post")


def keep_opt_outs(target: Contact | Lead, source: Contact | Lead) -> None:
    """Copy the opt-outs of the source to the target. Only a later change by a user opts in again."""
    for field in OPT_OUTS:
        if getattr(source, field):
            setattr(target, field, True)


async def keep_in_contact(uow: UnitOfWork, lead: Lead, made: Account | None = None) -> None:
    """Copy the opt-outs of the lead to its contact, if it has one, and link it to the account ``made`` of the lead."""
    opted_out = any(getattr(lead, field) for field in OPT_OUTS)
    if lead.contact_id is None or not (opted_out or made):
        return
    contact = await uow.load(Contact, lead.contact_id)
    keep_opt_outs(contact, lead)
    link_to_account(contact, made)
    uow.emit_if_changed(contact, ContactUpdated)


def link_to_account(contact: Contact, made: Account | None) -> None:
    """Link a contact to the account that was made beside it. A contact that has an account keeps it."""
    if made is not None and contact.account_id is None:
        contact.account_id = made.id
