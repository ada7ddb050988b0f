"""The activities API."""

from fastapi import FastAPI

from crm_activities.app import SERVICE
from crm_activities.consumers import CONSUMERS
from crm_activities.importers import IMPORTERS
from crm_activities.mail.senders import check_senders
from crm_activities.settings import own_settings
from crm_kit.configuration.settings import Settings
from crm_kit.finding import search_router
from crm_kit.http.routers import find_routers
from crm_kit.http.server import serve
from crm_kit.http.web import create_app
from crm_kit.importing.routes import all_imports


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    own_settings()
    check_senders()
    return create_app(
        SERVICE,
        [search_router(SERVICE), *find_routers("crm_activities"), all_imports(IMPORTERS)],
        settings=settings,
        consumers=CONSUMERS,
    )


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
