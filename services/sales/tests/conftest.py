"""Fixtures for sales: the service, and clients of it."""

from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI

from crm_contracts.marketing import CampaignCreated
from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime, Service
from crm_kit.store.record import new_id
from crm_kit.testing import Client
from crm_sales.app import SERVICE
from crm_sales.consumers import CONSUMERS
from crm_sales.main import app

from .hearing import Story
from .journey import Sales

Hear = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return app


@pytest.fixture
def sales(client: Client, runtime: Runtime) -> Sales:
    """A client of sales whose caller has all rights."""
    return Sales(client, runtime)


@pytest.fixture
def sales_for(client_for: Callable[[Principal | None], Client], runtime: Runtime) -> Callable[[Principal], Sales]:
    """Clients of sales for other callers."""
    return lambda principal: Sales(client_for(principal), runtime)


@pytest.fixture
def hear(runtime: Runtime) -> Hear:
    """Handle events in one batch as the worker does. Fail the test if one of them cannot be handled."""
    dispatcher = Dispatcher(
        CONSUMERS, runtime, {(group.name, source): clock.now() for group, source in CONSUMERS.sources()}
    )

    async def settle(*messages: Message) -> None:
        await dispatcher.settle(messages)
        async with runtime.db.autocommit() as conn:
            left = await conn.exec_driver_sql("select type, last_error from inbox where state in ('pending', 'parked')")
            assert left.all() == []

    return settle


@pytest.fixture
async def campaign(hear: Hear) -> str:
    """The id of a campaign that sales knows, owned by none of the callers."""
    told = Story()
    await hear(told.tell(CampaignCreated, owner_id=new_id()))
    return str(told.id)
