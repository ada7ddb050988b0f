"""What tests of every service share: real databases, a real broker, real tokens, a real server. Nothing is mocked.

``plugin`` holds the fixtures; a service's ``tests/conftest.py`` says which service it is about::

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
