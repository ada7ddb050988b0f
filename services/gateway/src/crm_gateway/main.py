"""The gateway."""

from fastapi import FastAPI

from crm_gateway.app import SERVICE
from crm_gateway.consumers import CONSUMERS
from crm_gateway.documents import docs, openapi, problems, schemas
from crm_gateway.edge import edge
from crm_gateway.opening import connections
from crm_gateway.session import routes as session
from crm_gateway.settings import GatewaySettings
from crm_gateway.views import customer, entities, imports, search, state_machines
from crm_kit.configuration.settings import Settings, read
from crm_kit.http.server import serve
from crm_kit.http.web import Context, create_app


def app(settings: Settings | None = None) -> FastAPI:
    """Make the app, with settings from the environment unless given. Settings of the kit make a gateway without upstreams."""
    if settings is None:
        settings = read(GatewaySettings)
    elif not isinstance(settings, GatewaySettings):
        settings = GatewaySettings.model_construct(**settings.model_dump())
    views = [state_machines.router, entities.router, customer.router, imports.router, search.router, session.router]
    documents = [openapi.router, docs.router, schemas.router, problems.router]
    gateway = create_app(SERVICE, views, settings=settings, consumers=CONSUMERS, openapi_url=None)
    for router in (connections(settings), *documents):
        gateway.include_router(router)
    # This stands before the middleware of the framework, which would cost each passing request time.
    gateway.middleware_stack = Context(edge(gateway.build_middleware_stack(), settings))
    return gateway


def run() -> None:
    """Serve until SIGTERM."""
    serve(app, read(GatewaySettings))
