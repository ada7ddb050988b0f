"""Servers that can be killed, a process that forks services, and a stage for each test."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest

from crm_kit.testing.issuer import Issuer
from crm_kit.testing.people import principal

from .driver import Driver, a_driver
from .machines import Machines, machines
from .processes import Nursery
from .stage import Stage, a_stage, make_templates


@pytest.fixture(scope="session")
async def own_machines(nursery: Nursery) -> AsyncIterator[Machines]:
    """PostgreSQL and RabbitMQ for these tests only."""
    async with machines(nursery.guard) as both:
        await make_templates(both)
        yield both


@pytest.fixture(scope="session")
async def nursery() -> AsyncIterator[Nursery]:
    """The process that forks the services."""
    async with Nursery.opened() as nursery:
        yield nursery


@pytest.fixture
async def stage(nursery: Nursery, own_machines: Machines, issuer: Issuer, tmp_path: Path) -> AsyncIterator[Stage]:
    """Fresh databases and queues. Tests start the processes that they need."""
    async with a_stage(own_machines, nursery, issuer, tmp_path) as stage:
        yield stage


class Drive(Protocol):
    """Makes a driver for the API at a URL."""

    def __call__(self, url: str) -> AbstractAsyncContextManager[Driver]: ...


@pytest.fixture
def drive(issuer: Issuer) -> Drive:
    """A driver whose caller has all rights."""
    token = issuer.token(principal())
    return lambda url: a_driver(url, token)
