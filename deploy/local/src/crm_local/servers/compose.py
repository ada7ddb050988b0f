"""Servers for `up` as containers: those of deploy/servers.yml, in a compose project for each instance, with data in
volumes.

Compose creates a container. The supervisor runs it attached, like any other program, so that the supervisor keeps its
log, restarts it and stops it.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from crm_local.ports import LOOPBACK
from crm_local.processes import Command
from crm_local.servers import docker, rabbitmq
from crm_local.servers.found import Instance, NoServer
from crm_local.state import CHECKOUT, Kept

USER = "liaison"
POSTGRES_PORT, AMQP_PORT, MANAGEMENT_PORT = "postgres", "rabbitmq", "rabbitmq-management"
PORTS = (POSTGRES_PORT, AMQP_PORT, MANAGEMENT_PORT)
_FILES = (CHECKOUT / "deploy" / "servers.yml", CHECKOUT / "deploy" / "servers.ports.yml")
_CREATE_SECONDS = 60


def postgres_image(kept: str | None) -> str:
    """Return the image of the existing data, else that for new data. Raises NoServer if it is not available."""
    return _image(kept, docker.POSTGRES)


def rabbitmq_image(kept: str | None) -> str:
    """Return the image of the broker in the same way."""
    return _image(kept, docker.RABBITMQ, suffix="management")


def postgres(image: str, kept: Kept, log: Path) -> Instance:
    """Create a PostgreSQL container without starting it. Raises NoServer if compose cannot create it."""
    url = f"postgresql://{USER}:{kept.postgres_password}@{LOOPBACK}:{kept.ports[POSTGRES_PORT]}/postgres"
    container = _create("postgres", {"POSTGRES_IMAGE": image}, kept)
    return Instance(
        command=_attached("postgres", container, log, signal.SIGINT),
        url=url,
        how=_how(image, kept, "postgres"),
        ready=lambda: asyncio.run(_accepts_logins(url)),
        container=container,
    )


def rabbitmq_node(image: str, kept: Kept, log: Path) -> Instance:
    """Create a RabbitMQ container without starting it. Raises NoServer if compose cannot create it."""
    account = f"{USER}:{kept.rabbitmq_password}@{LOOPBACK}"
    management_url = f"http://{account}:{kept.ports[MANAGEMENT_PORT]}"
    container = _create("rabbitmq", {"RABBITMQ_IMAGE": image}, kept)
    return Instance(
        command=_attached("rabbitmq", container, log, signal.SIGTERM),
        url=f"amqp://{account}:{kept.ports[AMQP_PORT]}/%2F",
        how=_how(image, kept, "rabbitmq"),
        ready=lambda: rabbitmq.answers(management_url),
        finish=lambda: rabbitmq.enable_stable_features(management_url),
        management_url=management_url,
        container=container,
    )


def project(instance: str) -> str:
    """Return the compose project of an instance, reduced to the characters that compose allows."""
    return re.sub(r"[^a-z0-9_-]", "-", instance.lower()).lstrip("_-")


def _image(kept: str | None, wanted: str, suffix: str = "") -> str:
    if not docker.has_engine():
        raise NoServer("the Docker engine does not answer")
    if not _publishes_here():
        raise NoServer("the Docker engine runs on another machine")
    if command() is None:
        raise NoServer("the Docker engine has neither `docker compose` nor docker-compose")
    if not docker.has_image(kept or wanted):
        print(f"pulling the image {kept or wanted}", flush=True)
    # Another major version cannot read the data, so the stored image is not replaced by a newer one.
    image = docker.exactly(kept) if kept else docker.image(wanted, suffix)
    if image is None:
        raise NoServer(f"the Docker engine does not have the image {kept or wanted} and cannot pull it")
    return image


def _publishes_here() -> bool:
    """Whether a port that the engine publishes on loopback is a port of this machine."""
    endpoint = os.environ.get("DOCKER_HOST") or docker.ask(
        "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"
    )
    parts = urlsplit((endpoint or "").strip())
    return parts.scheme in ("unix", "npipe") or parts.hostname in ("localhost", LOOPBACK)


def command() -> tuple[str, ...] | None:
    if docker.ask("compose", "version") is not None:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else None


def _create(service: str, images: Mapping[str, str], kept: Kept) -> str:
    """Create the container of the service, or use the existing one if it still matches. Return its id."""
    compose = command()
    assert compose is not None
    files = [argument for file in _FILES for argument in ("--file", str(file))]
    told = {
        "POSTGRES_PASSWORD": kept.postgres_password,
        "RABBITMQ_PASSWORD": kept.rabbitmq_password,
        "CRM_POSTGRES_PORT": str(kept.ports[POSTGRES_PORT]),
        "CRM_AMQP_PORT": str(kept.ports[AMQP_PORT]),
        "CRM_AMQP_MANAGEMENT_PORT": str(kept.ports[MANAGEMENT_PORT]),
        **images,
    }
    name = project(kept.instance)
    done = subprocess.run(
        [*compose, "--project-name", name, *files, "up", "--no-start", service],
        cwd=CHECKOUT,
        env={**os.environ, **told},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_CREATE_SECONDS,
    )
    labels = {"project": name, "service": service, "oneoff": "False"}
    filters = [
        part for key, value in labels.items() for part in ("--filter", f"label=com.docker.compose.{key}={value}")
    ]
    found = (docker.ask("ps", "--all", "--quiet", "--no-trunc", *filters) or "").split()
    if done.returncode or len(found) != 1:
        raise NoServer(f"{' '.join(compose)} cannot make a container for {service}: {done.stderr.strip()[-500:]}")
    return found[0]


def _attached(name: str, container: str, log: Path, stop_signal: signal.Signals) -> Command:
    client = shutil.which("docker")
    assert client is not None
    # The client forwards signals to the server, and ends when the server ends.
    return Command(name, (client, "start", "--attach", container), log, cwd=log.parent, stop_signal=stop_signal)


def _how(image: str, kept: Kept, service: str) -> str:
    name = project(kept.instance)
    return f"Docker image {image}, data in the volume {name}_{service}-data"


async def _accepts_logins(url: str) -> bool:
    # An open port is not enough: the engine's proxy accepts connections before the server does.
    try:
        connection = await asyncpg.connect(url, timeout=5)
    except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
        return False
    await connection.close()
    return True
