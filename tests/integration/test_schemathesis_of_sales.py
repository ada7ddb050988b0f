"""Every operation of sales against its own OpenAPI document: the tests of ``test_schemathesis``, beside those of the others."""

import pytest

from tests.conftest import LONGEST
from tests.integration.test_schemathesis import test_every_answer_is_one_that_openapi_announces

__all__ = ["test_every_answer_is_one_that_openapi_announces"]


@pytest.fixture(scope="session", params=[LONGEST])
def package(request: pytest.FixtureRequest) -> str:
    """Sales."""
    name: str = request.param
    return name
