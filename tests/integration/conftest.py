"""One suite for all integration tests of a run."""

from collections.abc import AsyncIterator, Iterator

import pytest

from crm_local.ports import choose
from crm_local.servers import Servers
from tests.integration.suite import ADMINISTRATOR, Person, Suite, running


@pytest.fixture(scope="session")
def suite(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """The suite, running."""
    with running(tmp_path_factory.mktemp("suite") / "home", choose(1)[0], servers) as found:
        yield found


@pytest.fixture
async def administrator(suite: Suite) -> AsyncIterator[Person]:
    """The first administrator, logged in."""
    person = await Person.log_in(suite, ADMINISTRATOR, suite.environment["CRM_ADMIN_PASSWORD"])
    yield person
    await person.close()
