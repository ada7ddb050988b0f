"""Fixtures for insights: its app, and a way to handle events of sales as its worker does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from fastapi import FastAPI

from crm_contracts.catalogue import Event
from crm_contracts.samples import sample
from crm_contracts.types import utc_text
from crm_insights.app import SERVICE
from crm_insights.consumers import CONSUMERS
from crm_insights.main import app
from crm_kit import clock
from crm_kit.configuration.settings import Settings
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime, Service
from crm_kit.store.record import new_id
from crm_kit.testing.people import HEADQUARTERS

Hear = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return app


@dataclass
class Story:
    """The events of one record of sales, one minute apart."""

    owner: UUID = field(default_factory=new_id)
    unit: UUID = HEADQUARTERS
    id: UUID = field(default_factory=new_id)
    version: int = 0
    at: datetime = field(default_factory=lambda: clock.now() - timedelta(days=1))
    record: dict[str, Any] = field(default_factory=dict)

    def tell(self, event: type[Event], **record: Any) -> Message:
        """Return the next event. ``record`` sets fields from now on."""
        self.version += 1
        return self.tell_again(event, **record)

    def tell_again(self, event: type[Event], facts: dict[str, Any] | None = None, **record: Any) -> Message:
        """Return an event at the record's current version, like a snapshot, with these facts besides the record."""
        self.at += timedelta(minutes=1)
        self.record.setdefault("created_at", utc_text(self.at))
        self.record.update(record)
        document = sample(event)
        document |= {"id": str(new_id()), "subject": str(self.id), "time": utc_text(self.at)}
        document |= {"entityversion": self.version}
        known: dict[str, Any] = {"id": str(self.id), "version": self.version}
        if event.entity.owned:
            document |= {"ownerid": str(self.owner), "businessunit": str(self.unit)}
            known |= {"owner_type": "user", "owner_id": str(self.owner), "business_unit_id": str(self.unit)}
        document["data"]["record"] |= known | self.record
        document["data"] |= facts or {}
        return Message.read(orjson.dumps(document, default=str))


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


@pytest.fixture(autouse=True)
async def nothing_known(runtime: Runtime) -> None:
    """Each test starts with empty copies, because the figures count all records."""
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("truncate deal, lead_ref, stage_ref, stage_visit, inbox, inbox_position")
