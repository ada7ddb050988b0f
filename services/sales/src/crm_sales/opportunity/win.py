"""Win a deal: set its value and, if it has none, its customer (Dataverse: WinOpportunity)."""

from uuid import UUID

from sqlalchemy import literal, select

from crm_contracts.access import Privilege
from crm_contracts.sales.account import AccountUpdated
from crm_contracts.sales.choices import CustomerCreation, CustomerType, Tier
from crm_contracts.sales.contact import ContactUpdated
from crm_contracts.sales.lead import LeadUpdated
from crm_contracts.sales.opportunity import OpportunityWon
from crm_kit.errors import DomainError
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.customer_link.references import know_name
from crm_sales.customers import make_account, make_contact
from crm_sales.duplicates.likeness import company_of, person_of
from crm_sales.duplicates.refusing import refuse_duplicates
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.lead.model import Lead
from crm_sales.opportunity.documents import give_customer
from crm_sales.opportunity.domain import require_past, require_value, tier_after_win
from crm_sales.opportunity.model import Opportunity
from crm_sales.opportunity.schemas import OpportunityWin
from crm_sales.opportunity.unfinished import refuse_unfinished
from crm_sales.opt_outs import keep_opt_outs, link_to_account
from crm_sales.settings.model import SalesSettings


async def win_opportunity(uow: UnitOfWork, opportunity_id: UUID, body: OpportunityWin) -> Opportunity:
    """Close the deal as won.

    A missing customer is made from the originating lead. If the settings create customers on win, account and contact
    are made as far as the lead names them and has no link to them. The customer's tier becomes at least *standard*.
    """
    uow.principal.require(Opportunity.entity(), Privilege.WRITE)
    lead = await _lead_that_gives(uow, opportunity_id)
    deal = await uow.get(Opportunity, opportunity_id, Privilege.WRITE)
    deal.require("win")
    if not body.force:
        await refuse_unfinished(uow, deal)
    value = require_value(deal.estimated_value if body.actual_value is None else body.actual_value)
    at = require_past(body.closed_at or uow.now, uow.now)
    if lead is not None:
        await _take_customer_from(uow, deal, lead, allow_duplicates=body.allow_duplicates)
    elif deal.customer_id is None:
        raise DomainError("customer-required", "Send the customer: the deal has no lead to create one from.")
    await _raise_tier(uow, deal)
    deal.win(value, at, body.note, uow.principal.author)
    await pin_amounts(uow, deal, Opportunity.money_fields)
    return uow.emit(deal, OpportunityWon, actual_value=value, actual_value_base=deal.actual_value_base, won_at=at)


async def _lead_that_gives(uow: UnitOfWork, opportunity_id: UUID) -> Lead | None:
    """Return the lead to make account and contact from, if they may be needed, locked before the deal.

    Reopening and qualifying a lead also lock the lead first. Another order could cause a deadlock.
    """
    creation = select(SalesSettings.customer_creation).limit(1).scalar_subquery()
    wanted = (creation == literal(CustomerCreation.ON_WIN.value)) | Opportunity.customer_id.is_(None)
    lead_id: UUID | None = (
        await uow.execute(select(Opportunity.originating_lead_id).where(Opportunity.id == opportunity_id, wanted))
    ).scalar_one_or_none()
    return None if lead_id is None else await uow.load(Lead, lead_id)


async def _take_customer_from(uow: UnitOfWork, deal: Opportunity, lead: Lead, *, allow_duplicates: bool) -> None:
    """Make or reuse account and contact by the rules of qualify. The lead emits an event with its new links."""
    account_id = deal.customer_id if deal.customer_type == CustomerType.ACCOUNT else lead.account_id
    contact_id = deal.customer_id if deal.customer_type == CustomerType.CONTACT else lead.contact_id
    wants_account = account_id is None and bool(lead.company_name)
    wants_contact = contact_id is None and bool(lead.last_name)
    if not allow_duplicates:
        await refuse_duplicates(
            uow,
            account=company_of(lead) if wants_account else None,
            contact=person_of(lead) if wants_contact else None,
        )
    account = await uow.load(Account, account_id) if account_id else None
    contact = await uow.load(Contact, contact_id) if contact_id else None
    if wants_account:
        account = await make_account(uow, lead, _tier_of(deal, instead_of=None))
    if wants_contact:
        contact = await make_contact(uow, lead, account, _tier_of(deal, instead_of=account))
    if deal.customer_id is None:
        deal.belong_to(account or contact)
        know_name(uow, account or contact)
        await give_customer(uow, deal)
    lead.account_id = lead.account_id or (account.id if account else None)
    lead.contact_id = lead.contact_id or (contact.id if contact else None)
    uow.emit_if_changed(lead, LeadUpdated)
    if contact is not None and not wants_contact:
        keep_opt_outs(contact, lead)
        link_to_account(contact, account if wants_account else None)
        if contact.id != deal.customer_id:
            uow.emit_if_changed(contact, ContactUpdated)


async def _raise_tier(uow: UnitOfWork, deal: Opportunity) -> None:
    assert deal.customer_id is not None
    customer: Account | Contact
    if deal.customer_type == CustomerType.ACCOUNT:
        customer = await uow.load(Account, deal.customer_id)
    else:
        customer = await uow.load(Contact, deal.customer_id)
    know_name(uow, customer)
    customer.tier = tier_after_win(customer.tier)
    if uow.before(customer) is not None:
        uow.emit_if_changed(customer, AccountUpdated if isinstance(customer, Account) else ContactUpdated)


def _tier_of(deal: Opportunity, *, instead_of: Account | None) -> Tier:
    """Return the tier of a new customer record: *standard* if it becomes the deal's customer, else *prospect*."""
    return Tier.STANDARD if deal.customer_id is None and instead_of is None else Tier.PROSPECT
