"""Fixtures for service management: its app, customers from sales, and a client."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime, Service
from crm_kit.testing import Client
from crm_service_mgmt.app import SERVICE
from crm_service_mgmt.consumers import CONSUMERS
from crm_service_mgmt.main import app

from .desk import Customer, Desk

Hear = Callable[..., Awaitable[None]]
Rows = Callable[..., Awaitable[list[tuple[Any, ...]]]]


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return app


@pytest.fixture
def dispatcher(runtime: Runtime) -> Dispatcher:
    """Hands events to the service's handlers. It has just started to listen."""
    bound = {(group.name, source): clock.now() for group, source in CONSUMERS.sources()}
    return Dispatcher(CONSUMERS, runtime, bound)


@pytest.fixture
def hear(runtime: Runtime, dispatcher: Dispatcher) -> Hear:
    """Handle events in one batch as the worker does. Fail the test if one of them cannot be handled."""

    async def settle(*messages: Message) -> None:
        await dispatcher.settle(messages)
        async with runtime.db.autocommit() as conn:
            left = await conn.exec_driver_sql("select type, last_error from inbox where state in ('pending', 'parked')")
            assert left.all() == []

    return settle


@pytest.fixture
def rows(runtime: Runtime) -> Rows:
    """Return the result of a query as tuples."""

    async def ask(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with runtime.db.autocommit() as conn:
            return [tuple(row) for row in await conn.exec_driver_sql(sql, parameters)]

    return ask


@pytest.fixture
async def ada(hear: Hear) -> Customer:
    """A contact that the service knows, owned by none of the callers."""
    found = Customer("contact", "Ada Lovelace")
    await hear(found.created())
    return found


@pytest.fixture
def desk(client: Client, runtime: Runtime, ada: Customer) -> Desk:
    """A client of the service whose caller has all rights. Its cases are Ada's by default."""
    return Desk(client, runtime, ada)


@pytest.fixture
def desk_for(client_for: Callable[[Principal | None], Client], runtime: Runtime, ada: Customer) -> Callable[..., Desk]:
    """Clients for other callers."""
    return lambda principal: Desk(client_for(principal), runtime, ada)
