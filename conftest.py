"""What every test of the repository may ask for: PostgreSQL and RabbitMQ, real and thrown away afterwards."""

import pytest

from crm_local.servers import Servers, shared


def pytest_configure(config: pytest.Config) -> None:
    """Open the run once: xdist's workers join it instead of opening their own."""
    if not hasattr(config, "workerinput"):
        shared.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the run started, after the last worker has ended."""
    if not hasattr(config, "workerinput"):
        shared.end()


@pytest.fixture(scope="session")
def servers() -> Servers:
    """One PostgreSQL and one RabbitMQ for the whole run; make databases and vhosts of your own in them."""
    return shared.servers()
