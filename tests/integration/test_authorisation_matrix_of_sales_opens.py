"""Granted access to the routes of sales: a test of ``test_authorisation_matrix`` in a separate file."""

import pytest

from tests.conftest import LONGEST
from tests.integration.test_authorisation_matrix import (
    examples_work,
    test_every_door_opens_to_whoever_the_privilege_reaches,
)

__all__ = [
    "examples_work",
    "test_every_door_opens_to_whoever_the_privilege_reaches",
]


@pytest.fixture(scope="session", params=[LONGEST])
def package(request: pytest.FixtureRequest) -> str:
    """Sales."""
    name: str = request.param
    return name
