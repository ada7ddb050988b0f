"""The service management API."""

from fastapi import FastAPI

from crm_kit.configuration.settings import Settings
from crm_kit.finding import search_router
from crm_kit.http.routers import find_routers
from crm_kit.http.server import serve
from crm_kit.http.web import create_app
from crm_service_mgmt.app import SERVICE
from crm_service_mgmt.consumers import CONSUMERS


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    return create_app(
        SERVICE, [search_router(SERVICE), *find_routers("crm_service_mgmt")], settings=settings, consumers=CONSUMERS
    )


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
