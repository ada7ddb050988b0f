"""Fixtures for activities: its app, and a way to handle events as its worker does."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from fastapi import FastAPI

from crm_activities.app import SERVICE
from crm_activities.consumers import CONSUMERS
from crm_activities.main import app
from crm_activities.settings import own_settings
from crm_contracts.catalogue import Event
from crm_contracts.samples import sample
from crm_contracts.types import utc_text
from crm_kit import clock
from crm_kit.configuration.settings import Settings
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime, Service
from crm_kit.store.record import new_id
from crm_kit.testing.people import HEADQUARTERS

Hear = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session", autouse=True)
def files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Store files in a folder of the test run, also in processes that tests start."""
    os.environ["CRM_FILES_URL"] = tmp_path_factory.mktemp("files").as_uri()
    own_settings.cache_clear()


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return app


@dataclass
class Story:
    """The events of one record of another service, one minute apart."""

    owner: UUID = field(default_factory=new_id)
    unit: UUID = HEADQUARTERS
    id: UUID = field(default_factory=new_id)
    version: int = 0
    epoch: int = 0
    at: datetime = field(default_factory=lambda: clock.now() - timedelta(days=1))
    record: dict[str, Any] = field(default_factory=dict)

    def tell(self, event: type[Event], record: dict[str, Any] | None = None, **facts: Any) -> Message:
        """Return the next event. ``record`` sets fields from now on."""
        self.version += 1
        self.at += timedelta(minutes=1)
        self.record.update(record or {})
        document = sample(event)
        document |= {"id": str(new_id()), "subject": str(self.id), "time": utc_text(self.at)}
        document |= {"entityversion": self.version, "actor": f"user:{self.owner}", "epoch": self.epoch}
        known = {"id": str(self.id), "version": self.version, "created_at": utc_text(clock.now())}
        if event.entity.owned:
            document |= {"ownerid": str(self.owner), "businessunit": str(self.unit)}
            known |= {"owner_type": "user", "owner_id": str(self.owner), "business_unit_id": str(self.unit)}
        document["data"]["record"] |= known | self.record
        document["data"] |= facts
        return Message.read(orjson.dumps(document, default=str))


@pytest.fixture
def story() -> Callable[..., Story]:
    return Story


@pytest.fixture
def dispatcher(runtime: Runtime) -> Dispatcher:
    """Hands events to the service's handlers. It has listened for a week."""
    bound = {(group.name, source): clock.now() - timedelta(days=7) for group, source in CONSUMERS.sources()}
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


Rows = Callable[..., Awaitable[list[tuple[Any, ...]]]]


@pytest.fixture
def rows(runtime: Runtime) -> Rows:
    """Return the result of a query as tuples."""

    async def ask(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with runtime.db.autocommit() as conn:
            return [tuple(row) for row in await conn.exec_driver_sql(sql, parameters)]

    return ask
