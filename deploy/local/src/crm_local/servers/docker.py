"""A Docker engine and its images, and servers for tests by testcontainers."""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterable

from crm_local.processes import wait_until
from crm_local.servers import rabbitmq as rabbitmq_node
from crm_local.servers.found import Running

POSTGRES, RABBITMQ = "postgres:16", "rabbitmq:3.13-management"
_ANSWER_SECONDS, _PULL_SECONDS, _BOOT_SECONDS, _STOP_SECONDS = 5, 180, 90, 60


def has_client() -> bool:
    """Whether Docker is installed here. Its engine may not run."""
    return shutil.which("docker") is not None


@functools.cache
def has_engine() -> bool:
    """Whether a Docker engine answers. There is a time limit, because a broken engine must not block a test run."""
    if not has_client():
        return False
    return _docker(_ANSWER_SECONDS, "version", "--format", "{{.Server.Version}}") is not None


def ask(*arguments: str) -> str | None:
    """Return the output of `docker` within a number of seconds; None if it fails."""
    return _docker(_ANSWER_SECONDS, *arguments)


def _docker(seconds: float, *arguments: str) -> str | None:
    """Return the output of `docker`; None if it is not installed, failed or took too long."""
    try:
        done = subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
    except (subprocess.TimeoutExpired, FileNotFoundError):
        return None
    return done.stdout if done.returncode == 0 else None


def has_image(wanted: str) -> bool:
    """Whether the engine has an image of the same repository."""
    return bool(_local(wanted))


def _local(wanted: str, suffix: str = "") -> list[str]:
    repository = wanted.partition(":")[0]
    listed = ask("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository) or ""
    return [name for name in listed.split() if name.endswith(suffix) and not name.endswith(":<none>")]


def image(wanted: str, suffix: str = "") -> str | None:
    """Return an image for containers; None without an engine or image.

    It is a local image of the same repository whose tag ends with `suffix`, else `wanted`, which is pulled.
    """
    if not has_engine():
        return None
    tagged = _local(wanted, suffix)
    if wanted in tagged:
        return wanted
    if tagged:
        return sorted(tagged)[-1]
    return exactly(wanted)


def exactly(name: str) -> str | None:
    """Return the image of this name if the engine has it or can pull it, else None."""
    if ask("image", "inspect", "--format", "{{.Id}}", name) is not None:
        return name
    return name if _docker(_PULL_SECONDS, "pull", "--quiet", name) is not None else None


def postgres() -> Running | None:
    """Start a temporary PostgreSQL container. None if no image is available."""
    name = image(POSTGRES)
    if name is None:
        return None
    from testcontainers.community.postgres import PostgresContainer

    _no_reaper()
    container = PostgresContainer(name, username="liaison", password="liaison", dbname="postgres", driver=None)  # noqa: S106  # a container of tests
    container.with_command(
        "postgres -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=1000"
        " -c log_error_verbosity=terse"
    )
    container.start()
    identity = container.get_wrapped_container().id
    return Running(container.get_connection_url(), f"Docker image {name}", containers=(str(identity),))


def rabbitmq() -> Running | None:
    """Start a temporary RabbitMQ container with its management API. None if no image is available."""
    name = image(RABBITMQ, suffix="management")
    if name is None:
        return None
    from testcontainers.core.container import DockerContainer

    _no_reaper()
    container = DockerContainer(name).with_exposed_ports(5672, 15672)
    container.with_env("RABBITMQ_DEFAULT_USER", "liaison").with_env("RABBITMQ_DEFAULT_PASS", "liaison").start()
    identity = str(container.get_wrapped_container().id)
    host, port = container.get_container_host_ip(), container.get_exposed_port(5672)
    management_url = f"http://liaison:liaison@{host}:{container.get_exposed_port(15672)}"
    if not wait_until(lambda: rabbitmq_node.answers(management_url), _BOOT_SECONDS):
        remove([identity])
        raise RuntimeError(f"a container of {name} does not answer after {_BOOT_SECONDS} s")
    return Running(f"amqp://liaison:liaison@{host}:{port}/%2F", f"Docker image {name}", management_url, (identity,))


def _no_reaper() -> None:
    # The reaper would be another image to pull. The process that ends the run removes the containers.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"


def stop(containers: Iterable[str]) -> None:
    """Stop containers and keep their data. Stopped or missing containers are ignored."""
    for container in containers:
        _docker(_STOP_SECONDS, "stop", "-t", "30", container)


def remove(containers: Iterable[str]) -> None:
    """Remove containers with their volumes."""
    for container in containers:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], check=True, capture_output=True, timeout=60)
