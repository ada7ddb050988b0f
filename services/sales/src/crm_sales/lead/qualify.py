"""Qualify a lead: make account, contact and opportunity once and in one step (Dataverse: QualifyLead)."""

from uuid import UUID

from sqlalchemy import select

from crm_contracts.access import Privilege
from crm_contracts.sales.choices import CustomerCreation
from crm_contracts.sales.lead import LeadQualified
from crm_contracts.sentences import field_word, said
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.work.uow import R, UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.customers import make_account, make_contact, make_opportunity
from crm_sales.duplicates.likeness import company_of, person_of
from crm_sales.duplicates.refusing import refuse_duplicates
from crm_sales.lead.model import Lead
from crm_sales.lead.schemas import LeadQualification
from crm_sales.opt_outs import keep_in_contact
from crm_sales.sales_stage.model import SalesStage
from crm_sales.settings.model import SalesSettings


async def qualify_lead(uow: UnitOfWork, lead_id: UUID, body: LeadQualification) -> Lead:
    """Qualify the lead once and atomically. Records linked by an earlier qualification are used again."""
    lead = await uow.get(Lead, lead_id, Privilege.WRITE)
    lead.require("qualify")
    creation, stage = await _terms(uow)
    wants_account, wants_contact = _wanted(lead, body, creation)
    if not body.allow_duplicates:
        await refuse_duplicates(
            uow,
            account=company_of(lead) if wants_account else None,
            contact=person_of(lead) if wants_contact else None,
        )
    account = await _linked(uow, Account, body.account_id, lead.account_id, "/account_id")
    contact = await _linked(uow, Contact, body.contact_id, lead.contact_id, "/contact_id")
    created = []
    if wants_account:
        account = await make_account(uow, lead)
        created.append("account")
    if wants_contact:
        contact = await make_contact(uow, lead, account)
        created.append("contact")
    opportunity_id = lead.opportunity_id
    if body.create_opportunity and opportunity_id is None:
        opportunity_id = (await make_opportunity(uow, lead, body.opportunity, stage, account or contact)).id
        created.append("opportunity")
    lead.qualify(account.id if account else None, contact.id if contact else None, opportunity_id, uow.now)
    if not wants_contact:
        await keep_in_contact(uow, lead, account if wants_account else None)
    return uow.emit(
        lead,
        LeadQualified,
        account_id=lead.account_id,
        contact_id=lead.contact_id,
        opportunity_id=opportunity_id,
        created=created,
    )


def _wanted(lead: Lead, body: LeadQualification, creation: CustomerCreation) -> tuple[bool, bool]:
    """Return whether to make account and contact: as requested, else what the lead can name.

    A linked one is never made again.
    """
    if creation == CustomerCreation.ON_WIN:
        for field in ("create_account", "create_contact"):
            if getattr(body, field):
                message = "Leave this out: this organisation creates customers when a deal is won."
                raise InvalidValue(f"/{field}", "customer-created-on-win", message)
        return False, False
    _require(lead.company_name, body.create_account, "/create_account", "company_name")
    _require(lead.last_name, body.create_contact, "/create_contact", "last_name")
    account = lead.company_name if body.create_account is None else body.create_account
    contact = lead.last_name if body.create_contact is None else body.create_contact
    linked_account = body.account_id or lead.account_id
    linked_contact = body.contact_id or lead.contact_id
    return bool(account) and linked_account is None, bool(contact) and linked_contact is None


def _require(known: str | None, asked: bool | None, pointer: str, field: str) -> None:
    if asked and not known:
        raise InvalidValue(
            pointer,
            "name-required",
            said("Give the lead a {field} first, or leave this out.", field=field_word("lead", field)),
        )


TERMS = (
    select(
        *SalesStage.__table__.c, select(SalesSettings.customer_creation).limit(1).scalar_subquery().label("creation")
    )
    .order_by(SalesStage.position, SalesStage.id)
    .limit(1)
)


async def _terms(uow: UnitOfWork) -> tuple[CustomerCreation, SalesStage]:
    """Return when customers are made, and the first stage of a deal. One statement."""
    row = (await uow.execute(TERMS)).mappings().one_or_none()
    if row is None:
        raise DomainError("no-sales-stage", "Add a sales stage at /sales-stages first: there is none.")
    values = dict(row)
    return CustomerCreation(values.pop("creation") or CustomerCreation.ON_QUALIFY), SalesStage.from_row(values)


async def _linked(uow: UnitOfWork, entity: type[R], asked: UUID | None, known: UUID | None, pointer: str) -> R | None:
    if asked is not None:
        return await uow.refer(entity, asked, pointer)
    return None if known is None else await uow.load(entity, known)
