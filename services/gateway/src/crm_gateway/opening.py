"""What the gateway holds while it runs: connections to the services, and sessions of browsers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from crm_gateway.proxy.upstream import open_upstreams
from crm_gateway.session.granting import Granting
from crm_gateway.session.keeping import Sessions
from crm_gateway.settings import GatewaySettings


def connections(settings: GatewaySettings) -> APIRouter:
    """Return a router without routes that opens both for the lifetime of the app."""

    @asynccontextmanager
    async def lifespan(gateway: FastAPI) -> AsyncIterator[None]:
        async with open_upstreams(settings) as upstreams:
            gateway.state.upstreams = upstreams
            sessions = gateway.state.sessions = Sessions(lambda: gateway.state.runtime, Granting(upstreams))
            try:
                yield
            finally:
                await sessions.close()

    return APIRouter(lifespan=lifespan)
