"""One suite for all integration tests of a run."""

from collections.abc import AsyncIterator, Iterator

import pytest

from crm_local.ports import choose
from crm_local.servers import Servers, docker
from tests.integration.collector import Collector, collecting
from tests.integration.suite import ADMINISTRATOR, Person, Suite, running

# Building takes minutes, and without the images nothing can be built: these tests are only for where all of them are.
_CONTAINERS = docker.has_engine() and all(
    docker.has_image(name) for name in ("python:3.11-slim-bookworm", docker.POSTGRES, docker.RABBITMQ)
)
collect_ignore = [] if _CONTAINERS else ["test_containers.py"]


def pytest_report_header() -> str:
    """Say what is left out, and why."""
    return f"containers: {'tested' if _CONTAINERS else 'not tested, there is no Docker engine that holds the images'}"


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the suite sends its spans."""
    with collecting() as found:
        yield found


@pytest.fixture(scope="session")
def suite(servers: Servers, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """The suite, running and traced."""
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        # Longer than a client of ours stands still on a busy machine: what is idle for so long may be closed.
        "CRM_DRAIN_SECONDS": "30",
    }
    with running(tmp_path_factory.mktemp("suite") / "home", choose(1)[0], servers, told) as found:
        yield found


@pytest.fixture
def part() -> tuple[int, int]:
    """Which part of a sweep, and of how many: a file about a large service makes some of it."""
    return 0, 1


@pytest.fixture
async def administrator(suite: Suite) -> AsyncIterator[Person]:
    """The first administrator, logged in."""
    person = await Person.log_in(suite, ADMINISTRATOR, suite.environment["CRM_ADMIN_PASSWORD"])
    yield person
    await person.close()
