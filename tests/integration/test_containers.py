"""The suite as docker-compose.yml runs it: images are built, containers are started, and the same story is played."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_local.ports import choose
from crm_local.probes import ready
from crm_local.processes import wait_until
from crm_local.servers import compose, docker
from crm_local.suite import SERVICES
from tests.integration.suite import ADMINISTRATOR, CHECKOUT, Suite
from tests.integration.test_story import test_a_lead_becomes_a_customer_and_everybody_hears_of_it as test_the_story

__all__ = ["test_the_story"]

pytestmark = pytest.mark.containers

_BUILD_SECONDS, _UP_SECONDS, _READY_SECONDS = 1200, 600, 120
_ROLES = ("api", "worker")


@dataclass(frozen=True)
class Stack:
    """A compose project and its variables."""

    project: str
    environment: Mapping[str, str]

    def compose(self, *arguments: str, seconds: float = 120) -> str:
        """Run compose for this project. Return its output."""
        files = ("docker-compose.yml", "deploy/servers.ports.yml")
        named = [part for file in files for part in ("--file", str(CHECKOUT / file))]
        return _run(
            [*(compose.command() or ()), "--project-name", self.project, *named, *arguments], self.environment, seconds
        )

    def container(self, service: str) -> dict[str, Any]:
        """Return the engine's data about a service's container."""
        (identity,) = self.compose("ps", "--all", "--quiet", service).split()
        (found,) = json.loads(_run(["docker", "inspect", identity], self.environment))
        return dict(found)


def _run(argv: list[str], environment: Mapping[str, str], seconds: float = 60) -> str:
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(argv[:8])} …: {done.stderr[-3000:]}{done.stdout[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Build all images and wait for all containers. They and their data are removed afterwards."""
    # The file of secrets is created as an operator does, in a separate directory.
    place: Path = tmp_path_factory.mktemp("compose")
    for name in ("docker-compose.yml", "deploy/servers.yml", "deploy/make-env.sh"):
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, place / name)
    _run(["sh", str(place / "deploy" / "make-env.sh")], dict(os.environ))
    made = dict(line.split("=", 1) for line in (place / ".env").read_text().splitlines())
    gateway, database, queues, management = choose(4)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("CRM_")},
        **made,
        "LIAISON_VERSION": "test",
        "POSTGRES_IMAGE": docker.image(docker.POSTGRES) or "",
        "RABBITMQ_IMAGE": docker.image(docker.RABBITMQ, suffix="management") or "",
        "CRM_ADMIN_EMAIL": ADMINISTRATOR,
        "CRM_PUBLISH": f"127.0.0.1:{gateway}",
        "CRM_POSTGRES_PORT": str(database),
        "CRM_AMQP_PORT": str(queues),
        "CRM_AMQP_MANAGEMENT_PORT": str(management),
    }
    stack = Stack(f"liaison-test-{secrets.token_hex(4)}", environment)
    try:
        stack.compose("build", seconds=_BUILD_SECONDS)
        stack.compose("up", "--detach", seconds=_UP_SECONDS)
        url = f"http://127.0.0.1:{gateway}"
        assert wait_until(lambda: ready(url)[0], _READY_SECONDS, interval=0.5), stack.compose("logs", "--tail", "20")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "20")


@pytest.fixture(scope="module")
def suite(stack: Stack) -> Suite:
    """Use the stack instead of the suite of `crm up`. Operators' commands reach its servers from outside."""
    told = stack.environment
    broker = f"liaison:{told['RABBITMQ_PASSWORD']}@127.0.0.1"
    environment = {
        **told,
        "CRM_INSTANCE": "liaison",
        "CRM_SERVICE_PASSWORDS": ",".join(f"{one.name}={told[f'{one.name.upper()}_PASSWORD']}" for one in SERVICES),
        "DATABASE_URL": f"postgresql://liaison:{told['POSTGRES_PASSWORD']}@127.0.0.1:{told['CRM_POSTGRES_PORT']}/postgres",
        "AMQP_URL": f"amqp://{broker}:{told['CRM_AMQP_PORT']}/liaison",
        "AMQP_MANAGEMENT_URL": f"http://{broker}:{told['CRM_AMQP_MANAGEMENT_PORT']}",
    }
    return Suite({"gateway_url": f"http://{told['CRM_PUBLISH']}"}, environment)


@pytest.mark.parametrize("service", [f"{one.name}-{role}" for one in SERVICES for role in _ROLES])
def test_every_container_becomes_healthy_without_any_privilege(stack: Stack, service: str) -> None:
    assert wait_until(lambda: stack.container(service)["State"]["Health"]["Status"] == "healthy", 60, interval=0.5)
    found = stack.container(service)
    assert found["Config"]["User"] == "10001:10001"
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_an_image_holds_its_own_service_and_no_other(stack: Stack, service: Any) -> None:
    image = f"liaison/{service.name}:test"
    script = (
        "import shutil, sys, importlib.util as u\n"
        f"names = {[one.package for one in SERVICES]!r}\n"
        "print(*[n for n in (*names, 'crm_local', 'pytest', 'mypy') if u.find_spec(n)])\n"
        "print(*[n for n in ('gcc', 'cc', 'make') if shutil.which(n)])\n"
    )
    printed = _run(["docker", "run", "--rm", "--entrypoint", "python3", image, "-c", script], stack.environment)
    assert printed.split("\n") == [service.package, "", ""]


def test_the_operators_image_looks_after_the_suite(stack: Stack) -> None:
    assert "everything is declared" in stack.compose("run", "--rm", "provision", "topology", "check")
    assert "declared  queue crm.log" in stack.compose("run", "--rm", "provision", "provision")


async def test_a_service_cannot_look_into_the_database_of_another(stack: Stack) -> None:
    async def connect(database: str) -> None:
        told = stack.environment
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=int(told["CRM_POSTGRES_PORT"]),
            user="liaison_crm_sales",
            password=told["SALES_PASSWORD"],
            database=database,
        )
        await connection.close()

    await connect("liaison_crm_sales")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connect("liaison_crm_identity")
