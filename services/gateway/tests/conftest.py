"""Gateways under test: real ones on a port, in front of real servers that do what a test needs."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import aiohttp
import pytest

from crm_gateway.app import SERVICE
from crm_gateway.main import app as gateway_app
from crm_gateway.settings import GatewaySettings
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Service
from crm_kit.testing import Client, Issuer, principal
from crm_kit.testing.databases import ServiceDatabase
from crm_kit.testing.serving import served

from .scripted import Scripted, scripted


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


class Start(Protocol):
    """Starts a gateway before some upstreams and gives a client of it; settings by their environment names."""

    async def __call__(self, upstreams: dict[str, str], caller: Principal | None = None, **settings: Any) -> Client: ...


@pytest.fixture
async def start(database: ServiceDatabase, issuer: Issuer, http: aiohttp.ClientSession) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(upstreams: dict[str, str], caller: Principal | None = None, **settings: Any) -> Client:
            told = {
                "CRM_SERVICE": SERVICE.name,
                "CRM_SECRET": "a secret that only tests know",
                "DATABASE_URL": database.url,
                "CRM_JWKS_URL": issuer.jwks_url,
                "CRM_UPSTREAMS": ",".join(f"{name}={url}" for name, url in upstreams.items()),
            }
            gateway = gateway_app(GatewaySettings.model_validate({**told, **settings}))
            await stack.enter_async_context(gateway.router.lifespan_context(gateway))
            url = await stack.enter_async_context(served(gateway))
            return Client(http, url, issuer.token(caller or principal()))

        yield start
    await database.restore()


@pytest.fixture
async def sales() -> AsyncIterator[Scripted]:
    """An upstream that plays sales."""
    async with scripted() as upstream:
        yield upstream


@pytest.fixture
async def gateway(start: Start, sales: Scripted) -> Client:
    """A caller's view of a gateway before one upstream."""
    return await start({"sales": sales.url})


@pytest.fixture
def token_for(issuer: Issuer) -> Callable[[], str]:
    """A token of somebody new."""
    return lambda: issuer.token(principal())
