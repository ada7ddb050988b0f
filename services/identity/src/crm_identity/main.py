"""The identity API."""

from fastapi import FastAPI

from crm_identity.app import SERVICE
from crm_identity.auth.passwords import warm_up
from crm_identity.consumers import CONSUMERS
from crm_identity.settings import own_settings
from crm_kit.configuration.settings import Settings
from crm_kit.http.routers import find_routers
from crm_kit.http.server import serve
from crm_kit.http.web import create_app
from crm_kit.process.runtime import Runtime


async def _opened(_: Runtime) -> None:
    await warm_up()


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    own_settings()
    return create_app(SERVICE, find_routers("crm_identity"), settings=settings, consumers=CONSUMERS, opened=_opened)


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
