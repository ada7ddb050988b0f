"""Servers that may be killed, a nursery of processes, and a stage for each test."""

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
    """PostgreSQL and RabbitMQ that nobody but these tests uses."""
    async with machines(nursery.guard) as both:
        await make_templates(both)
        yield both


@pytest.fixture(scope="session")
async def nursery() -> AsyncIterator[Nursery]:
    """Where processes come from."""
    async with Nursery.opened() as nursery:
        yield nursery


@pytest.fixture
async def stage(nursery: Nursery, own_machines: Machines, issuer: Issuer, tmp_path: Path) -> AsyncIterator[Stage]:
    """Fresh databases and queues; tests start the processes they are about."""
    async with a_stage(own_machines, nursery, issuer, tmp_path) as stage:
        yield stage


class Drive(Protocol):
    """Makes a driver for the api at a URL."""

    def __call__(self, url: str) -> AbstractAsyncContextManager[Driver]: ...


@pytest.fixture
def drive(issuer: Issuer) -> Drive:
    """A driver whose caller may do everything."""
    token = issuer.token(principal())
    return lambda url: a_driver(url, token)
