"""`crm keys rotate` in a deployment that the environment describes."""

import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from crm_local import keys
from crm_local.state import Home
from crm_local.suite import SERVICES

DEPLOYMENT = {
    "CRM_SERVICE_PASSWORDS": ",".join(f"{service.name}={service.name}-password" for service in SERVICES),
    "CRM_INSTANCE": "bank",
    "DATABASE_URL": "postgresql://operator:secret@db.internal:5432/postgres",
    "AMQP_URL": "amqp://operator:secret@mq.internal:5672/bank",
    "AMQP_MANAGEMENT_URL": "http://operator:secret@mq.internal:15672",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which nothing runs, beside the environment of a deployment."""
    for name, value in DEPLOYMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CRM_SECRET", raising=False)
    return Home(tmp_path)


def test_the_keys_of_a_deployment_without_a_home_are_rotated(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, str]] = []

    def run(command: list[str], *, env: dict[str, str], check: bool) -> Any:
        assert command[1:] == ["-m", "crm_identity.rotate"]
        started.append(env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("CRM_SECRET", "s" * 64)
    assert keys.main(["rotate"], home) == 0
    [told] = started
    url = urlsplit(told["DATABASE_URL"])
    assert (url.username, url.password, url.path) == ("bank_crm_identity", "identity-password", "/bank_crm_identity")
    assert (told["CRM_SECRET"], told["CRM_SERVICE"]) == ("s" * 64, "identity")


def test_without_the_secret_of_identity_it_says_so(home: Home) -> None:
    with pytest.raises(ValueError, match="CRM_SECRET"):
        keys.main(["rotate"], home)
