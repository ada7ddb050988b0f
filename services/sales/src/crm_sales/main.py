"""The sales API: its table of contents."""

from crm_kit.server import serve
from crm_kit.settings import Settings
from crm_kit.web import create_app
from fastapi import FastAPI

from crm_sales.app import SERVICE
from crm_sales.consumers import CONSUMERS
from crm_sales.lead.routes import router as leads


def app(settings: Settings | None = None) -> FastAPI:
    """The app; settings come from the environment unless given."""
    return create_app(SERVICE, [leads], settings=settings, consumers=CONSUMERS)


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
