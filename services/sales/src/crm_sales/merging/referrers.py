"""What refers to accounts, contacts and leads, and moves when one is merged. A slice that refers to them adds its line.

Each column needs an index that begins with it. A customer of either kind is found by its id alone: ids are unique.
"""

from crm_contracts.sales.account import AccountUpdated
from crm_contracts.sales.contact import ContactUpdated
from crm_contracts.sales.invoice import InvoiceUpdated
from crm_contracts.sales.lead import LeadUpdated
from crm_contracts.sales.opportunity import OpportunityUpdated
from crm_contracts.sales.order import OrderUpdated
from crm_contracts.sales.quote import QuoteUpdated
from crm_contracts.sales.sales_contract import SalesContractUpdated
from crm_kit.records.moving import Mover, Referrer
from crm_sales.account.model import Account
from crm_sales.contact.model import Contact
from crm_sales.invoice.model import Invoice
from crm_sales.lead.model import Lead
from crm_sales.merging.model import MoveTask
from crm_sales.opportunity.model import Opportunity
from crm_sales.order.model import Order
from crm_sales.quote.model import Quote
from crm_sales.sales_contract.model import SalesContract

REFERRERS: dict[str, tuple[Referrer, ...]] = {
    "account": (
        Referrer(Account, AccountUpdated, ("parent_account_id",)),
        Referrer(Contact, ContactUpdated, ("account_id",)),
        Referrer(Lead, LeadUpdated, ("account_id",)),
        Referrer(Opportunity, OpportunityUpdated, ("customer_id",)),
        Referrer(Quote, QuoteUpdated, ("customer_id",)),
        Referrer(SalesContract, SalesContractUpdated, ("customer_id",)),
        Referrer(Order, OrderUpdated, ("customer_id",)),
        Referrer(Invoice, InvoiceUpdated, ("customer_id",)),
    ),
    "contact": (
        Referrer(Account, AccountUpdated, ("primary_contact_id",)),
        Referrer(Lead, LeadUpdated, ("contact_id",)),
        Referrer(Opportunity, OpportunityUpdated, ("customer_id",)),
        Referrer(Quote, QuoteUpdated, ("customer_id",)),
        Referrer(SalesContract, SalesContractUpdated, ("customer_id",)),
        Referrer(Order, OrderUpdated, ("customer_id",)),
        Referrer(Invoice, InvoiceUpdated, ("customer_id",)),
    ),
    "lead": (Referrer(Opportunity, OpportunityUpdated, ("originating_lead_id",)),),
}

MOVER = Mover(MoveTask, REFERRERS)
