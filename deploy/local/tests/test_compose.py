"""The container files list all services of the suite, and a home keeps the servers that have its data."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency of ours, and one file is read

from crm_local import up
from crm_local.deployment import Deployment
from crm_local.servers import Instance, NoServer, compose
from crm_local.state import CHECKOUT, Home, Kept
from crm_local.suite import SERVICES, Service

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_compose_runs_every_service(service: Service) -> None:
    processes = {role: COMPOSE["services"][f"{service.name}-{role}"] for role in ("setup", "api", "worker")}
    built = processes["setup"]["build"]["args"]["SERVICE"]
    assert f"crm_{built}" == service.package
    assert {process["image"] for process in processes.values()} == {f"liaison/{service.name}:${{LIAISON_VERSION:-dev}}"}
    assert {role: process["command"] for role, process in processes.items()} == {role: [role] for role in processes}
    passwords = COMPOSE["services"]["provision"]["environment"]["CRM_SERVICE_PASSWORDS"]
    assert f"{service.name}=${{{service.name.upper()}_PASSWORD}}" in passwords
    upstreams = COMPOSE["services"]["gateway-api"]["environment"]["CRM_UPSTREAMS"]
    assert service.name == "gateway" or f"{service.name}=http://{service.name}-api:8000" in upstreams


def test_services_know_their_own_password_and_no_other() -> None:
    for service in SERVICES:
        told = str(COMPOSE["services"][f"{service.name}-api"]["environment"])
        others = [other.name for other in SERVICES if other is not service and f"{other.name.upper()}_PASSWORD" in told]
        assert others == []
        assert "POSTGRES_PASSWORD" not in told
        secret = "CRM_SECRET" if service.name == "identity" else f"{service.name.upper()}_SECRET"
        assert re.findall(r"\$\{([A-Z]*_?SECRET)", told) == [secret]


def test_a_deployment_of_containers_is_told_every_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRM_INSTANCE", "liaison")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@db.internal/postgres")
    monkeypatch.setenv("AMQP_URL", "amqp://me:secret@mq.internal/liaison")
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", "http://me:secret@mq.internal:15672")
    monkeypatch.setenv("CRM_SERVICE_PASSWORDS", ", ".join(f"{one.name}={one.name}!" for one in SERVICES))
    found = Deployment.find(Home(tmp_path))
    assert found.password_of("sales") == "sales!"
    assert found.database(SERVICES[0]) == f"postgresql://me:secret@db.internal/liaison_crm_{SERVICES[0].name}"
    monkeypatch.setenv("CRM_SERVICE_PASSWORDS", "sales=x")
    with pytest.raises(ValueError, match="no password for: identity"):
        Deployment.find(Home(tmp_path))


def test_the_project_of_an_instance_is_a_name_that_compose_takes() -> None:
    assert compose.project("_Liaison.Test_1") == "liaison-test_1"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    home = Home(tmp_path / "home")
    home.make()
    return home


def test_data_in_a_volume_is_never_left_for_an_empty_cluster(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = home.kept()
    kept.sources["postgres"] = "postgres:16"
    monkeypatch.setattr("crm_local.servers.docker.has_engine", lambda: False)
    with pytest.raises(NoServer, match="the data of postgres lies in a Docker volume"):
        up._choose(home, kept, "postgres", up._contained_postgres, up._own_postgres)


def test_data_of_an_instance_of_our_own_is_never_left_for_an_empty_volume(home: Home) -> None:
    made: list[str] = []

    def of_our_own(_: Home, kept: Kept) -> Instance:
        made.append("own")
        raise NoServer("as far as this test goes")

    def in_container(_: Home, kept: Kept) -> Instance:
        made.append("container")
        raise NoServer("none")

    kept = home.kept()
    kept.ports["postgres"] = 25432
    with pytest.raises(NoServer):
        up._choose(home, kept, "postgres", in_container, of_our_own)
    kept.sources = {"postgres": "own"}
    with pytest.raises(NoServer):
        up._choose(home, kept, "postgres", in_container, of_our_own)
    assert made == ["own", "own"]
