"""What the tests of sales share: which service it is, and a caller's view of it."""

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
    """Sales as a caller sees it who may do everything."""
    return Sales(client, runtime)


@pytest.fixture
def sales_for(client_for: Callable[[Principal | None], Client], runtime: Runtime) -> Callable[[Principal], Sales]:
    """Sales as another caller sees it."""
    return lambda principal: Sales(client_for(principal), runtime)


@pytest.fixture
def hear(runtime: Runtime) -> Hear:
    """Let sales take events as its worker does, in one batch; fails the test when one cannot be taken."""
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
    """The id of a campaign that sales has heard of, owned by nobody who calls."""
    told = Story()
    await hear(told.tell(CampaignCreated, owner_id=new_id()))
    return str(told.id)
