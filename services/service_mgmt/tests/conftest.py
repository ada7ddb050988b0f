"""Service management under test: its app, customers that sales tells of, and a caller's view of it."""

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
    """What hands events to the service's handlers; it has just begun to listen."""
    bound = {(group.name, source): clock.now() for group, source in CONSUMERS.sources()}
    return Dispatcher(CONSUMERS, runtime, bound)


@pytest.fixture
def hear(runtime: Runtime, dispatcher: Dispatcher) -> Hear:
    """Let the service take events as its worker does, in one batch; fails the test when one cannot be taken."""

    async def settle(*messages: Message) -> None:
        await dispatcher.settle(messages)
        async with runtime.db.autocommit() as conn:
            left = await conn.exec_driver_sql("select type, last_error from inbox where state in ('pending', 'parked')")
            assert left.all() == []

    return settle


@pytest.fixture
def rows(runtime: Runtime) -> Rows:
    """What a query gives, as plain tuples."""

    async def ask(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with runtime.db.autocommit() as conn:
            return [tuple(row) for row in await conn.exec_driver_sql(sql, parameters)]

    return ask


@pytest.fixture
async def ada(hear: Hear) -> Customer:
    """A contact that the service has heard of, owned by nobody who calls."""
    found = Customer("contact", "Ada Lovelace")
    await hear(found.created())
    return found


@pytest.fixture
def desk(client: Client, runtime: Runtime, ada: Customer) -> Desk:
    """The service desk as a caller sees it who may do everything; its cases are Ada's unless said otherwise."""
    return Desk(client, runtime, ada)


@pytest.fixture
def desk_for(client_for: Callable[[Principal | None], Client], runtime: Runtime, ada: Customer) -> Callable[..., Desk]:
    """The desk as another caller sees it."""
    return lambda principal: Desk(client_for(principal), runtime, ada)
