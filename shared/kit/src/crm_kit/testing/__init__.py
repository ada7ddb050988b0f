"""What the tests of all services share: real databases, a real broker, real tokens and a real server, without mocks.

``plugin`` has the fixtures. A service's ``tests/conftest.py`` names the service::

    @pytest.fixture(scope="session")
    def service() -> Service:
        return SERVICE

    @pytest.fixture(scope="session")
    def make_app() -> Callable[[Settings], FastAPI]:
        return app
"""

from crm_kit.testing.client import Answer, Client
from crm_kit.testing.counting import counted
from crm_kit.testing.events import announced, emitted
from crm_kit.testing.issuer import Issuer
from crm_kit.testing.oracle import naively_covers
from crm_kit.testing.people import People, grants, principal
from crm_kit.testing.rabbit import Rabbit

__all__ = [
    "Answer",
    "Client",
    "Issuer",
    "People",
    "Rabbit",
    "announced",
    "counted",
    "emitted",
    "grants",
    "naively_covers",
    "principal",
]
