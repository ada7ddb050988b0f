"""One half of the operations of sales, checked against its OpenAPI document.

Workers of a test run share work by files.
"""

import pytest

from tests.conftest import LONGEST
from tests.integration.test_schemathesis import test_every_answer_is_one_that_openapi_announces

__all__ = ["test_every_answer_is_one_that_openapi_announces"]


@pytest.fixture(scope="session", params=[LONGEST])
def package(request: pytest.FixtureRequest) -> str:
    """Sales."""
    name: str = request.param
    return name


@pytest.fixture
def part() -> tuple[int, int]:
    """The first half."""
    return 0, 2
