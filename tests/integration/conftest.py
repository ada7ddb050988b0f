"""One suite for the integration tests that share it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from crm_local.servers import Servers, docker
from tests.integration.collector import Collector
from tests.integration.suite import ADMINISTRATOR, Person, Suite
from tests.integration.traced import Traced, traced

# Building takes minutes and needs the images, so these tests run only where all images exist.
_CONTAINERS = docker.has_engine() and all(
    docker.has_image(name) for name in ("python:3.11-slim-bookworm", docker.POSTGRES, docker.RABBITMQ)
)
collect_ignore = [] if _CONTAINERS else ["test_containers.py"]


def pytest_report_header() -> str:
    """Report what is left out, and why."""
    return f"containers: {'tested' if _CONTAINERS else 'not tested, there is no Docker engine that holds the images'}"


@dataclass
class Shared:
    """The suite that tests share, while it runs."""

    servers: Servers
    homes: pytest.TempPathFactory
    stack: ExitStack = field(default_factory=ExitStack)
    running: Traced | None = None

    def start(self) -> Traced:
        """Start the suite unless it runs."""
        if self.running is None:
            self.running = self.stack.enter_context(traced(self.servers, self.homes.mktemp("suite") / "home"))
        return self.running

    def stop(self) -> None:
        """Stop the suite if it runs."""
        self.running = None
        self.stack.close()


_SHARED = pytest.StashKey[Shared]()


@pytest.fixture(scope="session")
def shared(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """The suite that tests share. It is stopped at the end in every case."""
    made = request.config.stash[_SHARED] = Shared(servers, tmp_path_factory)
    yield made
    made.stop()


@pytest.fixture
def shared_suite(shared: Shared) -> Traced:
    """The shared suite. It continues to run if the next test uses it, too."""
    return shared.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Stop the suite if the next test does not use it: its idle processes would slow down later tests."""
    try:
        yield
    finally:
        if _SHARED in item.config.stash and "shared_suite" not in getattr(nextitem, "fixturenames", ()):
            item.config.stash[_SHARED].stop()


@pytest.fixture
def suite(shared_suite: Traced) -> Suite:
    """The running suite, with tracing."""
    return shared_suite.suite


@pytest.fixture
def collector(shared_suite: Traced) -> Collector:
    """The receiver of the suite's spans."""
    return shared_suite.collector


@pytest.fixture
async def administrator(suite: Suite) -> AsyncIterator[Person]:
    """The first administrator, logged in."""
    person = await Person.log_in(suite, ADMINISTRATOR, suite.environment["CRM_ADMIN_PASSWORD"])
    yield person
    await person.close()
