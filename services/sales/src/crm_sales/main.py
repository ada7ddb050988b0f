"""The sales API."""

from fastapi import FastAPI

from crm_kit.configuration.settings import Settings
from crm_kit.finding import search_router
from crm_kit.http.server import serve
from crm_kit.http.web import create_app
from crm_kit.importing.routes import all_imports
from crm_sales.account.routes import router as accounts
from crm_sales.app import SERVICE
from crm_sales.competitor.routes import router as competitors
from crm_sales.consumers import CONSUMERS
from crm_sales.contact.routes import router as contacts
from crm_sales.exchange_rate.routes import router as exchange_rates
from crm_sales.goal.routes import router as goals
from crm_sales.importers import IMPORTERS
from crm_sales.invoice.routes import router as invoices
from crm_sales.lead.routes import router as leads
from crm_sales.opportunity.routes import router as opportunities
from crm_sales.order.routes import router as orders
from crm_sales.price_list.routes import router as price_lists
from crm_sales.price_list_item.routes import router as price_list_items
from crm_sales.product.routes import router as products
from crm_sales.quote.routes import router as quotes
from crm_sales.sales_contract.routes import router as sales_contracts
from crm_sales.sales_literature.routes import router as sales_literature
from crm_sales.sales_stage.routes import router as sales_stages
from crm_sales.settings.routes import router as sales_settings

DEALS = (leads, opportunities, accounts, contacts, competitors)
CATALOGUE = (products, price_lists, price_list_items, sales_literature)
DOCUMENTS = (quotes, orders, invoices, sales_contracts)
ORGANISATION = (sales_stages, exchange_rates, sales_settings, goals)
ROUTERS = (*DEALS, *CATALOGUE, *DOCUMENTS, *ORGANISATION, all_imports(IMPORTERS), search_router(SERVICE))


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    return create_app(SERVICE, ROUTERS, settings=settings, consumers=CONSUMERS)


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
