"""Make account, contact and opportunity from a lead: when it is qualified, or when its deal is won."""

from crm_contracts.sales.account import AccountCreated
from crm_contracts.sales.choices import EstimatedValueSource, PreferredChannel, Tier
from crm_contracts.sales.contact import ContactCreated
from crm_contracts.sales.opportunity import OpportunityCreated
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.domain import full_name
from crm_sales.contact.model import Contact
from crm_sales.customer_link.references import know_name
from crm_sales.exchange_rate.pinning import pin_amounts
from crm_sales.lead.model import Lead
from crm_sales.lead.schemas import QualifiedOpportunity
from crm_sales.opportunity.model import Opportunity
from crm_sales.sales_stage.model import SalesStage


async def make_account(uow: UnitOfWork, lead: Lead, tier: Tier = Tier.PROSPECT) -> Account:
    """Make an account from the lead's company."""
    person = bool(lead.last_name)
    account = Account(
        name=lead.company_name,
        number=await uow.number(Account.numbered),
        industry=lead.industry,
        website=lead.website,
        email=None if person else lead.email,
        phone=None if person else lead.phone or lead.mobile_phone,
        billing_address=lead.address,
        tier=tier,
        credit_hold=False,
    )
    return uow.add(account, AccountCreated)


async def make_contact(uow: UnitOfWork, lead: Lead, account: Account | None, tier: Tier = Tier.PROSPECT) -> Contact:
    """Make a contact from the lead's person, at the account if there is one."""
    contact = Contact(
        number=await uow.number(Contact.numbered),
        first_name=lead.first_name,
        last_name=lead.last_name,
        full_name=full_name(lead.first_name, lead.last_name),
        gender=lead.gender,
        birth_date=lead.birth_date,
        account_id=account.id if account else None,
        job_title=lead.job_title,
        email=lead.email,
        phone=lead.phone,
        mobile_phone=lead.mobile_phone,
        address=lead.address,
        tier=tier,
        preferred_channel=lead.preferred_channel or PreferredChannel.ANY,
        do_not_email=lead.do_not_email,
        do_not_phone=lead.do_not_phone,
        do_not_post=lead.do_not_post,
        interests=[],
    )
    return uow.add(contact, ContactCreated)


async def make_opportunity(
    uow: UnitOfWork, lead: Lead, wanted: QualifiedOpportunity, stage: SalesStage, customer: Account | Contact | None
) -> Opportunity:
    """Make the lead's opportunity."""
    deal = Opportunity(
        number=await uow.number(Opportunity.numbered),
        name=wanted.name or lead.topic,
        originating_lead_id=lead.id,
        campaign_id=lead.campaign_id,
        source=lead.source,
        rating=lead.rating,
        probability=wanted.probability,
        probability_overridden=wanted.probability is not None,
        estimated_value=wanted.estimated_value or lead.estimated_value,
        estimated_close_date=wanted.estimated_close_date or lead.estimated_close_date,
        stages=[],
        closes=[],
        competitor_ids=[],
        lines=[],
        product_ids=[],
        estimated_value_source=EstimatedValueSource.USER,
        description=wanted.description or lead.description,
    )
    deal.belong_to(customer)
    know_name(uow, customer)
    deal.enter(stage, uow.now)
    await pin_amounts(uow, deal, Opportunity.money_fields)
    return uow.add(deal, OpportunityCreated)
