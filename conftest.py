"""PostgreSQL and RabbitMQ for all tests of the repository: real servers, removed afterwards."""

import re
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from crm_local.servers import Servers, shared


def pytest_configure(config: pytest.Config) -> None:
    """Open the run once. The workers of xdist join it instead of opening their own."""
    if not hasattr(config, "workerinput"):
        shared.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the run started, after the last worker has ended."""
    if not hasattr(config, "workerinput"):
        shared.end()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the test files: those that take longest first, that is, those about the whole suite.

    Files that share the suite follow each other. Small files come last, so that no worker waits long for another.
    """
    turns = {config.rootpath / name: turn for turn, name in enumerate(("tests", "deploy", "services", "shared"))}
    sharing = {item.path for item in items if "shared_suite" in getattr(item, "fixturenames", ())}

    def place_of(item: pytest.Item) -> tuple[int, bool]:
        turn = min((turn for place, turn in turns.items() if place in item.path.parents), default=9)
        return turn, item.path not in sharing

    items.sort(key=place_of)


PART = re.compile(r", part \d+ of \d+\]$")
"""The end of the id of a test that is one part of a sweep."""


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives each worker whole files, because the tests of a file share databases. The parts of a long sweep are given out one by
    one."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if PART.search(nodeid) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Used by ``-n``, whatever ``--dist`` says."""
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def servers() -> Servers:
    """One PostgreSQL and one RabbitMQ for the whole run, started on first use.

    Tests create their own databases and vhosts.
    """
    return shared.servers()
