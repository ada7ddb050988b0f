"""The fixtures, loaded by ``-p crm_kit.testing.plugin``. They need the fixture ``servers`` of the root conftest.

Session: ``databases``, ``rabbit``, ``issuer``. Module, for the service that ``service`` and ``make_app`` name:
``database``, ``settings``, ``app``, ``address``. Test: ``runtime``, ``people``, ``caller``, ``uow``, ``client``, ``figures``.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import aiohttp
import pytest
from fastapi import FastAPI

from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Runtime, Service, build_database
from crm_kit.testing.client import Client
from crm_kit.testing.databases import Databases, ServiceDatabase, settings_for
from crm_kit.testing.figures import figures, pytest_terminal_summary
from crm_kit.testing.issuer import Issuer, serve_keys
from crm_kit.testing.people import People, principal
from crm_kit.testing.rabbit import Rabbit, own_vhost
from crm_kit.testing.serving import served
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

__all__ = ["figures", "pytest_terminal_summary"]

# Not in a fixture, because processes that tests start inherit it.
os.environ["CRM_VALIDATE_EVENTS"] = "1"


class Servers(Protocol):
    """The type of the root conftest's ``servers``."""

    @property
    def database_url(self) -> str: ...
    @property
    def amqp_url(self) -> str: ...
    @property
    def amqp_management_url(self) -> str | None: ...


@pytest.fixture(scope="session")
async def databases(servers: Servers) -> AsyncIterator[Databases]:
    """A database for each service, created at its first use."""
    databases = Databases(servers.database_url)
    yield databases
    await databases.close()


@pytest.fixture(scope="session")
async def rabbit(servers: Servers) -> AsyncIterator[Rabbit]:
    """A virtual host of this process."""
    async with own_vhost(servers.amqp_url, servers.amqp_management_url) as rabbit:
        yield rabbit


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    """Signs tokens, and serves the keys that verify them."""
    with serve_keys() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def service() -> Service:
    """The service under test. Each service's conftest defines it."""
    raise pytest.UsageError("define a session fixture 'service' in this directory's conftest.py")


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    """The function that makes the service's app. Each service's conftest defines it."""
    raise pytest.UsageError("define a session fixture 'make_app' in this directory's conftest.py")


# The following fixtures have the scope of a module, because a run may test several services.


@pytest.fixture(scope="module")
def database(databases: Databases, service: Service) -> ServiceDatabase:
    """The service's database in this process."""
    return databases.of(service)


@pytest.fixture(scope="module")
def settings(service: Service, database: ServiceDatabase, issuer: Issuer) -> Settings:
    """The settings of an api process of the service."""
    return settings_for(service, database.url, issuer.jwks_url)


@pytest.fixture(scope="module")
async def app(make_app: Callable[[Settings], FastAPI], service: Service, settings: Settings) -> AsyncIterator[FastAPI]:
    """The service's app. It runs only inside ``runtime``. Its connections stay open between tests."""
    app = make_app(settings)
    app.state.db = build_database(service, settings)
    yield app
    await app.state.db.dispose()


@pytest.fixture(scope="module")
async def address(app: FastAPI) -> AsyncIterator[str]:
    """The URL at which the app is served."""
    async with served(app) as url:
        yield url


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP session. Its timeout is long, because the service must report that a request takes too long."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as session:
        yield session


@pytest.fixture
async def runtime(app: FastAPI, database: ServiceDatabase) -> AsyncIterator[Runtime]:
    """The app's runtime, started for this test. Afterwards the database is restored."""
    async with app.router.lifespan_context(app):
        yield app.state.runtime
    await database.restore()


@pytest.fixture
def people(runtime: Runtime) -> People:
    """Fills the service's copy of the directory."""
    return People(runtime)


@pytest.fixture
def caller() -> Principal:
    """The caller of ``uow`` and ``client``. It may do everything unless a test module replaces it."""
    return principal()


@pytest.fixture
async def uow(runtime: Runtime, caller: Principal) -> AsyncIterator[UnitOfWork]:
    """A unit of work in a transaction that is rolled back."""
    async with runtime.db.connect(autocommit=False) as conn:
        yield UnitOfWork(runtime, caller, Cause(correlation_id="a test"), conn=conn)
        await conn.rollback()


@pytest.fixture
def client_for(
    runtime: Runtime, address: str, http: aiohttp.ClientSession, issuer: Issuer
) -> Callable[[Principal | None], Client]:
    """Makes a client of the running service for a caller. None gives a client without a token."""
    return lambda caller: Client(http, address, None if caller is None else issuer.token(caller))


@pytest.fixture
def client(client_for: Callable[[Principal | None], Client], caller: Principal) -> Client:
    """A client of the running service for ``caller``."""
    return client_for(caller)
