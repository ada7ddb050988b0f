"""Refused access to the routes of sales: tests of ``test_authorisation_matrix`` in a separate file."""

import pytest

from tests.conftest import LONGEST
from tests.integration.test_authorisation_matrix import (
    examples_work,
    test_nobody_gets_to_a_record_that_no_privilege_reaches,
    test_what_belongs_to_the_organisation_needs_its_depth,
)

__all__ = [
    "examples_work",
    "test_nobody_gets_to_a_record_that_no_privilege_reaches",
    "test_what_belongs_to_the_organisation_needs_its_depth",
]


@pytest.fixture(scope="session", params=[LONGEST])
def package(request: pytest.FixtureRequest) -> str:
    """Sales."""
    name: str = request.param
    return name
