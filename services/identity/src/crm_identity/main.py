"""The identity API."""

from fastapi import FastAPI

from crm_identity.api_client.routes import router as api_clients
from crm_identity.app import SERVICE
from crm_identity.auth import routes as auth
from crm_identity.auth.passwords import warm_up
from crm_identity.business_unit.routes import router as business_units
from crm_identity.consumers import CONSUMERS
from crm_identity.organization.routes import router as organization
from crm_identity.removal.routes import router as removals
from crm_identity.security_role.routes import router as security_roles
from crm_identity.settings import own_settings
from crm_identity.team.routes import router as teams
from crm_identity.user.routes import router as users
from crm_kit.configuration.settings import Settings
from crm_kit.http.server import serve
from crm_kit.http.web import create_app
from crm_kit.process.runtime import Runtime

ROUTERS = [
    *(auth.public, auth.keys, auth.private),
    *(users, api_clients, teams, business_units, security_roles, organization, removals),
]


async def _opened(_: Runtime) -> None:
    await warm_up()


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app. Settings come from the environment unless given."""
    own_settings()
    return create_app(SERVICE, ROUTERS, settings=settings, consumers=CONSUMERS, opened=_opened)


def run() -> None:
    """Serve until SIGTERM."""
    serve(app)
