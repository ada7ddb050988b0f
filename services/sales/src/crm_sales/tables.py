"""All tables of the sales database, for migrations and tests."""

from crm_kit.tables import add_kit_tables
from crm_sales.account.model import Account
from crm_sales.competitor.model import Competitor
from crm_sales.contact.model import Contact
from crm_sales.db import Base
from crm_sales.exchange_rate.model import ExchangeRate
from crm_sales.goal.model import Goal
from crm_sales.handover import SalesHandover
from crm_sales.invoice.model import Invoice
from crm_sales.invoice.numbering import InvoiceCounter
from crm_sales.lead.model import Lead
from crm_sales.merging.model import MoveTask
from crm_sales.opportunity.model import Opportunity
from crm_sales.order.model import Order
from crm_sales.price_list.model import PriceList
from crm_sales.price_list_item.model import PriceListItem
from crm_sales.product.model import Product
from crm_sales.projections.campaign_ref import CampaignRef
from crm_sales.projections.case_ref import CaseRef
from crm_sales.projections.member_ref import MemberRef
from crm_sales.quote.model import Quote
from crm_sales.sales_contract.model import SalesContract
from crm_sales.sales_literature.model import SalesLiterature
from crm_sales.sales_stage.model import SalesStage
from crm_sales.settings.model import SalesSettings

ENTITIES = (
    Lead,
    Opportunity,
    Account,
    Contact,
    Competitor,
    Product,
    Quote,
    Order,
    Invoice,
    PriceList,
    PriceListItem,
    SalesContract,
    SalesLiterature,
    SalesStage,
    ExchangeRate,
    SalesSettings,
    Goal,
    SalesHandover,
)
PROJECTIONS = (CampaignRef, CaseRef, MemberRef)

OTHERS = (MoveTask, InvoiceCounter)

METADATA = Base.metadata
add_kit_tables(METADATA, numbers=("LEA", "OPP", "ACC", "CON", "PRO", "QUO", "ORD", "SCO"))
