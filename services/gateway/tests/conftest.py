"""Fixtures for the gateway: real gateways on a port, in front of real servers that behave as a test needs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import aiohttp
import pytest

from crm_gateway.app import SERVICE
from crm_gateway.main import app as gateway_app
from crm_gateway.proxy import upstream as calling
from crm_gateway.proxy.upstream import Upstreams
from crm_gateway.session.keeping import Sessions
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


GENEROUS = dict.fromkeys(
    (
        "CRM_HOP_SECONDS",
        "CRM_TOTAL_SECONDS",
        "CRM_IDLE_SECONDS",
        "CRM_TRANSFER_GRACE_SECONDS",
        "CRM_TRANSFER_WORK_SECONDS",
    ),
    600,
)
"""Limits that no machine reaches by pausing. Tests of a limit name it, and let that time pass."""


class Gateway(Client):
    """A client of a gateway in this process, and the number of its calls to the services."""

    upstreams: Upstreams
    sessions: Sessions

    async def calls(self, **expected: int) -> None:
        """Wait until exactly these numbers of calls are open, by service."""
        async with asyncio.timeout(120):
            while self._under_way() != expected:  # noqa: ASYNC110  # they tell nobody
                await asyncio.sleep(0.005)

    def _under_way(self) -> dict[str, int]:
        taken = {name: upstream.calls.taken for name, upstream in self.upstreams.items()}
        return {name: number for name, number in taken.items() if number}


class Start(Protocol):
    """Starts a gateway in front of upstreams and returns a client of it. Settings are given by environment names."""

    async def __call__(
        self, upstreams: dict[str, str], caller: Principal | None = None, **settings: Any
    ) -> Gateway: ...


@pytest.fixture
async def start(database: ServiceDatabase, issuer: Issuer, http: aiohttp.ClientSession) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def start(upstreams: dict[str, str], caller: Principal | None = None, **settings: Any) -> Gateway:
            told = {
                "CRM_SERVICE": SERVICE.name,
                "CRM_SECRET": "a secret that only tests know",
                "DATABASE_URL": database.url,
                "CRM_JWKS_URL": issuer.jwks_url,
                "CRM_UPSTREAMS": ",".join(f"{name}={url}" for name, url in upstreams.items()),
            }
            gateway = gateway_app(GatewaySettings.model_validate({**told, **GENEROUS, **settings}))
            await stack.enter_async_context(gateway.router.lifespan_context(gateway))
            url = await stack.enter_async_context(served(gateway))
            client = Gateway(http, url, issuer.token(caller or principal()))
            client.upstreams = gateway.state.upstreams
            client.sessions = gateway.state.sessions
            return client

        yield start
    await database.restore()


@pytest.fixture(autouse=True)
def patient_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generous values for the limits that are not settings."""
    monkeypatch.setattr(calling, "CONNECT_SECONDS", 600.0)
    monkeypatch.setattr(calling, "HEALTH_SECONDS", 600.0)


@pytest.fixture
async def sales() -> AsyncIterator[Scripted]:
    """An upstream that acts as sales."""
    async with scripted() as upstream:
        yield upstream


@pytest.fixture
async def gateway(start: Start, sales: Scripted) -> Gateway:
    """A client of a gateway in front of one upstream."""
    return await start({"sales": sales.url})


@pytest.fixture
def token_for(issuer: Issuer) -> Callable[[], str]:
    """Return a token of a new principal."""
    return lambda: issuer.token(principal())
