"""The references of a quote, order or invoice: its deal, its customer, and the addresses copied from the customer.

Lock order: lead, deal, account and contact, quote, order, invoice, product. A command that makes a document of a deal
locks the deal. A concurrent win of the deal therefore either finds the document or is seen by the command.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import select

from crm_contracts.sentences import said, status_word
from crm_kit.errors import DomainError, Forbidden, InvalidValue, Merged, NotFound, UnknownReference
from crm_kit.records.patch import Patch
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.customer_link.references import CUSTOMERS, know_name, set_customer
from crm_sales.customer_link.schemas import CustomerInput
from crm_sales.document.customer import require_active_customer
from crm_sales.document.model import SalesDocument
from crm_sales.opportunity.model import Opportunity
from crm_sales.projections.campaign_ref import refer_to_campaign


async def deal_of(uow: UnitOfWork, opportunity_id: UUID, pointer: str = "/opportunity_id") -> Opportunity:
    """Load and lock the deal for a new reference. 422 with the pointer if it does not exist, is not readable, or was merged."""
    try:
        deal = await uow.load(Opportunity, opportunity_id)
    except NotFound:
        raise UnknownReference(pointer, Opportunity.entity()) from None
    # Of a merged deal the survivor was loaded, and the deal itself on the way to it.
    named = deal if deal.id == opportunity_id else await uow.read(Opportunity, opportunity_id)
    if not uow.reach(Opportunity).covers_record(named):
        raise UnknownReference(pointer, Opportunity.entity())
    if named is not deal:
        await uow.require_referable(named, pointer)
    return deal


async def new_deal_of(uow: UnitOfWork, patch: Patch) -> Opportunity | None:
    """Load and lock the deal that a patch names. None if it names none."""
    named: UUID | None = patch.get("opportunity_id")
    return None if named is None else await deal_of(uow, named)


async def hold_deal(uow: UnitOfWork, kind: type[SalesDocument], document_id: UUID) -> Opportunity | None:
    """Load and lock the deal of a document before the document itself. None if there is no deal or no such document.

    Access is not checked: the caller may offer in a deal that the caller may not read.
    """
    table = kind.__table__
    named = select(table.c.opportunity_id).where(table.c.id == document_id)
    deal_id = (await uow.execute(named)).scalar_one_or_none()
    return None if deal_id is None else await uow.load(Opportunity, deal_id)


def require_open(deal: Opportunity, pointer: str = "/opportunity_id") -> None:
    """Refuse a closed deal: nothing new can be offered in it. 422 ``inactive-reference``."""
    if deal.status != "open":
        raise InvalidValue(
            pointer,
            "inactive-reference",
            said("The deal is {status}. Reopen it first.", status=status_word("opportunity", deal.status)),
        )


async def require_deal_not_lost(uow: UnitOfWork, document: SalesDocument) -> None:
    """Refuse to offer a document whose deal is lost: 422 ``inactive-reference``. The deal is not locked."""
    if document.opportunity_id is None:
        return
    status = select(Opportunity.status).where(Opportunity.id == document.opportunity_id)
    if (await uow.execute(status)).scalar_one() == "lost":
        raise DomainError("inactive-reference", "The deal is lost. Reopen it first.")


def require_not_lost(deal: Opportunity, pointer: str = "/opportunity_id") -> None:
    """Refuse a lost deal: nothing new can be sold in it. A won deal can still be delivered and billed."""
    if deal.status == "lost":
        raise InvalidValue(pointer, "inactive-reference", "The deal is lost. Reopen it first.")


async def take_over(
    uow: UnitOfWork,
    document: SalesDocument,
    deal: Opportunity | None,
    customer: CustomerInput | None,
    given: Collection[str],
) -> None:
    """Link a new document to its deal and customer, and copy the fields that are not ``given`` from them."""
    found: Account | Contact | None = None
    if "customer" in given:
        found = await set_customer(uow, document, customer)
    elif deal is not None and deal.customer_id is not None and deal.customer_type is not None:
        document.customer_type, document.customer_id = deal.customer_type, deal.customer_id
        try:
            found = await uow.read(CUSTOMERS[deal.customer_type], deal.customer_id)
        except (NotFound, Forbidden, Merged):
            # Only callers who may read the customer get the addresses. To others the document shows the customer as
            # hidden. If the customer was merged a moment ago, the move to the survivor also updates the document, as it
            # does the deal.
            found = None
        know_name(uow, found)
        await require_active_customer(uow, document, found)
    if "campaign_id" in given:
        await refer_to_campaign(uow, document.campaign_id)
    elif deal is not None:
        document.campaign_id = deal.campaign_id
    for field, address in _addresses(found).items():
        if field not in given:
            setattr(document, field, address)


def _addresses(customer: Account | Contact | None) -> dict[str, Any]:
    match customer:
        case Account():
            return {
                "bill_to": customer.billing_address,
                "ship_to": customer.shipping_address or customer.billing_address,
            }
        case Contact():
            return {"bill_to": customer.address, "ship_to": customer.address}
    return {}
