"""What a quote, order or invoice refers to: its deal, its customer, and the addresses that it takes from there.

Lock order: lead, deal, account and contact, quote, order, invoice, product. Whoever makes a document of a deal holds the
deal, so winning it at the same moment finds the document, or is found by it.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from crm_kit.errors import Forbidden, InvalidValue, Merged, NotFound, UnknownReference
from crm_kit.records.patch import Patch
from crm_kit.work.uow import UnitOfWork
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.customer_link.references import CUSTOMERS, know_name, set_customer
from crm_sales.customer_link.schemas import CustomerInput
from crm_sales.document.model import SalesDocument
from crm_sales.opportunity.model import Opportunity
from crm_sales.projections.campaign_ref import refer_to_campaign


async def deal_of(uow: UnitOfWork, opportunity_id: UUID, pointer: str = "/opportunity_id") -> Opportunity:
    """The deal of a new reference, locked: readable, or 422 with the pointer."""
    try:
        deal = await uow.load(Opportunity, opportunity_id)
    except NotFound:
        raise UnknownReference(pointer, Opportunity.entity()) from None
    if not uow.reach(Opportunity).covers_record(deal):
        raise UnknownReference(pointer, Opportunity.entity())
    return deal


async def new_deal_of(uow: UnitOfWork, patch: Patch) -> Opportunity | None:
    """The deal that a patch names, locked; None where it names none."""
    named: UUID | None = patch.get("opportunity_id")
    return None if named is None else await deal_of(uow, named)


def require_open(deal: Opportunity, pointer: str = "/opportunity_id") -> None:
    """Nobody is offered anything new in a deal that is closed."""
    if deal.status != "open":
        raise InvalidValue(pointer, "inactive-reference", f"The deal is {deal.status}. Reopen it first.")


def require_not_lost(deal: Opportunity, pointer: str = "/opportunity_id") -> None:
    """Nothing new is sold in a deal that was lost; what is sold in one that was won is delivered and billed."""
    if deal.status == "lost":
        raise InvalidValue(pointer, "inactive-reference", "The deal is lost. Reopen it first.")


async def take_over(
    uow: UnitOfWork,
    document: SalesDocument,
    deal: Opportunity | None,
    customer: CustomerInput | None,
    given: Collection[str],
) -> None:
    """Make a new document part of its deal and of its customer: what is not ``given`` comes from there."""
    found: Account | Contact | None = None
    if "customer" in given:
        found = await set_customer(uow, document, customer)
    elif deal is not None and deal.customer_id is not None and deal.customer_type is not None:
        document.customer_type, document.customer_id = deal.customer_type, deal.customer_id
        try:
            found = await uow.read(CUSTOMERS[deal.customer_type], deal.customer_id)
        except (NotFound, Forbidden, Merged):
            # The addresses are for those who may read the customer; to all others the document shows it as hidden.
            # One that was merged a moment ago moves to its survivor in the document, as in the deal.
            found = None
        know_name(uow, found)
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
