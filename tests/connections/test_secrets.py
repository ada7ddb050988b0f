"""Secrets from files, and places where secrets must not appear."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crm_identity.app import SERVICE
from crm_identity.consumers import CONSUMERS
from crm_identity.settings import IdentitySettings
from crm_kit.configuration.environment import read
from crm_kit.configuration.secret_files import (
    SECRETS,
    BadSecret,
    blanked,
    secret,
)
from crm_kit.configuration.settings import Settings
from crm_kit.operators import operator_name
from crm_kit.reconciling.parties import Party
from crm_local.cli import main
from crm_local.deployment import Deployment
from crm_local.processes import ProcessRef
from crm_local.servers import environment
from crm_local.state import Home, State
from crm_local.suite import SERVICES

PLAIN = {"CRM_SERVICE": "x", "CRM_SECRET": "s", "DATABASE_URL": "postgresql://h/d"}


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SECRETS, "CRM_SERVICE", "CRM_ROLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def told(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_every_secret_of_a_service_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {
        "CRM_SECRET": "hunter2",
        "DATABASE_URL": "postgresql://u:hunter2@h/d",
        "DATABASE_DIRECT_URL": "postgresql://u:hunter2@direct/d",
        "AMQP_URL": "amqp://u:hunter2@h/v",
        "AMQP_MANAGEMENT_URL": "http://u:hunter2@h",
    }
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
        told(monkeypatch, **{f"{name}_FILE": str(tmp_path / name)})
    told(monkeypatch, CRM_SERVICE="x")
    found = read(Settings)
    assert found.secret.get_secret_value() == "hunter2"
    assert (found.database_url, found.database_direct_url) == (values["DATABASE_URL"], values["DATABASE_DIRECT_URL"])
    assert (found.amqp_url, found.amqp_management_url) == (values["AMQP_URL"], values["AMQP_MANAGEMENT_URL"])
    assert "hunter2" not in repr(found) + str(found)
    (tmp_path / "admin").write_text("correct horse\r\n")
    told(monkeypatch, CRM_ADMIN_PASSWORD_FILE=str(tmp_path / "admin"))
    assert read(IdentitySettings).admin_password.get_secret_value() == "correct horse"


def test_every_secret_of_an_operator_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    passwords = ",".join(f"{service.name}=hunter2" for service in SERVICES)
    values = {
        "CRM_SERVICE_PASSWORDS": passwords,
        "DATABASE_URL": "postgresql://u:p@h/postgres",
        "AMQP_URL": "amqp://u:p@h/v",
        "AMQP_MANAGEMENT_URL": "http://u:p@h",
    }
    for name, value in values.items():
        (tmp_path / name).write_text(f"{value}\n")
        told(monkeypatch, **{f"{name}_FILE": str(tmp_path / name)})
    told(monkeypatch, CRM_INSTANCE="x")
    deployment = Deployment.find(Home(tmp_path / "home"))
    assert deployment.own_database(SERVICES[0]) == "postgresql://x_crm_identity:hunter2@h/x_crm_identity"
    running = environment.postgres()
    assert running is not None
    assert running.url == values["DATABASE_URL"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read"),
        ("", "is empty"),
        ("\n", "is empty"),
        ("x" * 70_000, "too long"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_file_that_holds_no_secret_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes | None, what: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told(monkeypatch, CRM_SECRET_FILE=str(path))
    with pytest.raises(BadSecret, match=what) as refused:
        secret("CRM_SECRET")
    assert str(path) in str(refused.value)


def test_a_secret_told_twice_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    told(monkeypatch, **PLAIN, CRM_SECRET_FILE=str(tmp_path / "secret"))
    with pytest.raises(SystemExit, match="CRM_SECRET and CRM_SECRET_FILE are both set"):
        read(Settings)


def test_a_service_of_ours_is_told_no_file_of_its_parent() -> None:
    assert blanked().keys() == {f"{name}_FILE" for name in SECRETS}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"DATABASE_URL": "postgresql://u:hunter2@h/d?ssl=on"}, "'ssl' is not a known parameter"),
        ({"AMQP_URL": "amqp://u:hunter2@h/v?x=1"}, "'x' is not a known parameter"),
        ({"CRM_MAX_CONNECTIONS": "0"}, "CRM_MAX_CONNECTIONS: Input should be greater than or equal to 1"),
        ({"CRM_TRUSTED_PROXIES": "10.0.0.0/8,lb"}, "CRM_TRUSTED_PROXIES: 'lb' does not appear to be"),
        ({"CRM_SERVICE": None}, "CRM_SERVICE: is not set"),
    ],
)
def test_a_process_that_is_told_wrong_ends_with_a_line_and_no_secret(change: dict[str, str | None], what: str) -> None:
    environment = {**os.environ, **PLAIN, "CRM_SECRET": "hunter2", **change}
    done = subprocess.run(
        [sys.executable, "-c", "from crm_gateway import worker; worker.run()"],
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert what in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr + done.stdout


NO_FILE = (
    {"CRM_ADMIN_PASSWORD_FILE": "/nowhere/password"},
    "CRM_ADMIN_PASSWORD_FILE: /nowhere/password cannot be read",
)
NO_FAILURES = ({"CRM_LOCKOUT_FAILURES": "0"}, "CRM_LOCKOUT_FAILURES: Input should be greater than or equal to 1")


@pytest.mark.parametrize(
    ("module", "change", "what"), [("main", *NO_FILE), ("worker", *NO_FAILURES), ("setup", *NO_FILE)]
)
def test_identity_does_not_start_with_settings_that_it_cannot_log_in_with(
    module: str, change: dict[str, str], what: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"from crm_identity import {module}; {module}.run()"],
        env={**os.environ, **PLAIN, **change},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert [what] == [line[: len(what)] for line in done.stderr.splitlines()]


def test_what_an_operator_does_goes_past_a_pooler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told(
        monkeypatch,
        CRM_INSTANCE="x",
        CRM_SERVICE_PASSWORDS=",".join(f"{service.name}=p" for service in SERVICES),
        DATABASE_URL="postgresql://u:p@pooler/postgres",
        DATABASE_DIRECT_URL="postgresql://u:p@server/postgres",
        AMQP_URL="amqp://u:p@h/v",
        AMQP_MANAGEMENT_URL="http://u:p@h",
    )
    deployment = Deployment.find(Home(tmp_path / "home"))
    assert deployment.database(SERVICES[0]) == "postgresql://u:p@server/x_crm_identity"


async def test_a_service_in_an_operators_hand_has_its_own_database(monkeypatch: pytest.MonkeyPatch) -> None:
    told(
        monkeypatch,
        DATABASE_DIRECT_URL="postgresql://u:p@h/postgres",
        AMQP_URL="amqp://u:p@h/v",
        AMQP_MANAGEMENT_URL="http://u:p@h",
    )
    async with Party(SERVICE, CONSUMERS, "postgresql://u:p@h/x_crm_identity").opened() as runtime:
        assert runtime.settings.session_url == "postgresql://u:p@h/x_crm_identity"
        assert (runtime.settings.amqp_url, runtime.settings.amqp_management_url) == ("", "")


def test_an_account_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert operator_name() == "3999999999"


def test_status_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    home.make()
    home.write(
        State(
            supervisor=ProcessRef.of(os.getpid()),
            instance="x",
            gateway_url="http://127.0.0.1:1",
            phase="failed",
            reason="PostgreSQL at h/postgres cannot be used",
            database_url="postgresql://u:hunter2@h/postgres",
            amqp_url="amqp://u:hunter2@h/v",
            how={"postgres": "given by DATABASE_URL", "rabbitmq": "given by AMQP_URL"},
        )
    )
    told(monkeypatch, CRM_HOME=str(tmp_path))
    main(["status"])
    shown = capsys.readouterr().out
    assert "given by DATABASE_URL" in shown
    assert "hunter2" not in shown
