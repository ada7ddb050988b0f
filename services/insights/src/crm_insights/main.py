"""The insights API: its table of contents."""

from fastapi import FastAPI

from crm_insights.app import SERVICE
from crm_insights.consumers import CONSUMERS
from crm_insights.funnel.routes import router as funnel
from crm_kit.configuration.settings import Settings
from crm_kit.http.meta import state_machines_router
from crm_kit.http.server import serve
from crm_kit.http.web import create_app


def app(settings: Settings | None = None) -> FastAPI:
    """The app; settings come from the environment unless given."""
    # The kit adds it for services with entities; here it says that there are none, which is not the same as no answer.
    machines = state_machines_router(SERVICE)
    return create_app(SERVICE, [funnel, machines], settings=settings, consumers=CONSUMERS)


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
