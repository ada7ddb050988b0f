"""A separate suite for the long attack, and its users."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from crm_local.ports import choose
from crm_local.servers import Servers
from tests.attacks.people import Cast, gather
from tests.integration.suite import Suite, running

LIMITS = {"CRM_HOP_SECONDS": "15", "CRM_TOTAL_SECONDS": "30"}
"""Attackers use up these limits. The normal user must not, however busy the machine is."""


@pytest.fixture(scope="module")
def attacked(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """The suite as started by `crm up`."""
    with running(tmp_path_factory.mktemp("attacked") / "home", choose(1)[0], servers, LIMITS) as suite:
        yield suite


@pytest.fixture
async def cast(attacked: Suite) -> AsyncIterator[Cast]:
    """The normal user and the hostile ones, logged in."""
    async with AsyncExitStack() as stack:
        yield await gather(attacked, stack)
