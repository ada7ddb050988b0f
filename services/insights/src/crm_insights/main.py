"""The insights API."""

from fastapi import FastAPI

from crm_insights.app import SERVICE
from crm_insights.consumers import CONSUMERS
from crm_kit.configuration.settings import Settings
from crm_kit.http.meta import state_machines_router
from crm_kit.http.routers import find_routers
from crm_kit.http.server import serve
from crm_kit.http.web import create_app


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    # The kit adds this for services with entities. Here it answers that there are none.
    machines = state_machines_router(SERVICE)
    return create_app(SERVICE, [*find_routers("crm_insights"), machines], settings=settings, consumers=CONSUMERS)


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
