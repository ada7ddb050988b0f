"""The sales API."""

from fastapi import FastAPI

from crm_kit.configuration.settings import Settings
from crm_kit.finding import search_router
from crm_kit.http.routers import find_routers
from crm_kit.http.server import serve
from crm_kit.http.web import create_app
from crm_kit.importing.routes import all_imports
from crm_sales.app import SERVICE
from crm_sales.consumers import CONSUMERS
from crm_sales.importers import IMPORTERS

ROUTERS = (*find_routers("crm_sales"), all_imports(IMPORTERS), search_router(SERVICE))


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    return create_app(SERVICE, ROUTERS, settings=settings, consumers=CONSUMERS)


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
