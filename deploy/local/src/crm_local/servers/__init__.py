"""PostgreSQL and RabbitMQ, wherever they can be had.

Tried in this order, each server on its own: a URL in the environment, a Docker engine (for tests), programs on this
machine run as an instance of our own, Debian's packages when we are root, PostgreSQL from PyPI.
"""

import json
import shutil
import signal
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crm_local import ports
from crm_local.processes import ProcessRef, stop, wait_until
from crm_local.servers import docker, environment, own, packages
from crm_local.servers.found import Instance, NoServer, Running

__all__ = ["Instance", "NoServer", "Running", "Servers", "await_ready", "packages", "provide", "remove_directory"]


@dataclass(frozen=True)
class Servers:
    """PostgreSQL and RabbitMQ, running and answering, for a test run.

    `database_url` names a user who may create databases and extensions, `amqp_url` one who may do everything in its
    vhost, `amqp_management_url` the management HTTP API with the same user (None: the broker offers none).
    """

    database_url: str
    amqp_url: str
    amqp_management_url: str | None
    how: str
    processes: tuple[ProcessRef, ...] = ()
    containers: tuple[str, ...] = ()
    directory: Path | None = None
    """Throwaway directory of our own instances."""

    def stop(self) -> None:
        """Stop what was started for this, and remove its data. Servers found running are left alone."""
        _discard(self.processes, self.containers, self.directory)

    def dump(self) -> str:
        """As JSON, for another process of the same run."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def load(cls, text: str) -> "Servers":
        """The inverse of `dump`."""
        raw = json.loads(text)
        raw["processes"] = tuple(ProcessRef(**process) for process in raw["processes"])
        raw["containers"] = tuple(raw["containers"])
        raw["directory"] = Path(raw["directory"]) if raw["directory"] else None
        return cls(**raw)


def provide() -> Servers:
    """Throwaway servers for a test run, both answering; the caller stops them.

    Raises NoServer when one cannot be had, and RuntimeError with the end of its log when one does not start.
    """
    directory = Path(tempfile.mkdtemp(prefix="liaison-test-"))
    # Servers run as another user than root, and must get to their own directories below this one.
    directory.chmod(0o711)
    processes: list[ProcessRef] = []
    containers: list[str] = []
    broker: Running | Instance | None
    database: Running | Instance | None
    try:
        # The broker takes longest to boot, so it starts first and the cluster is made meanwhile.
        broker = environment.rabbitmq() or docker.rabbitmq()
        if broker is None:
            broker = own.rabbitmq_node(
                directory / "rabbitmq", directory.name, ports.choose(4), None, log=directory / "rabbitmq.log"
            )
            processes.append(broker.command.start())
        else:
            containers += broker.containers
        database = environment.postgres() or docker.postgres()
        if database is None:
            database = own.postgres_cluster(
                directory / "postgres", ports.choose(1)[0], None, log=directory / "postgres.log", throwaway=True
            )
            processes.append(database.command.start())
        else:
            containers += database.containers
        instances = [server for server in (broker, database) if isinstance(server, Instance)]
        for instance, process in zip(instances, processes, strict=True):
            await_ready(instance, process)
    except BaseException:
        _discard(processes, containers, directory)
        raise
    return Servers(
        database_url=database.url,
        amqp_url=broker.url,
        amqp_management_url=broker.management_url,
        how=f"{database.how}; {broker.how}",
        processes=tuple(processes),
        containers=tuple(containers),
        directory=directory,
    )


def await_ready(instance: Instance, process: ProcessRef, seconds: float = 90) -> None:
    """Return when the instance answers; RuntimeError with the end of its log when it dies or needs longer."""
    wait_until(lambda: instance.ready() or not process.alive(), seconds)
    if not process.alive() or not instance.ready():
        what = f"does not answer after {seconds:.0f} s" if process.alive() else "ended instead of starting"
        tail = "\n".join(instance.command.log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"{instance.how} {what}; the end of its log:\n{tail}")
    instance.finish()


def _discard(processes: Iterable[ProcessRef], containers: Iterable[str], directory: Path | None) -> None:
    # Nothing of a throwaway server is worth an orderly end: PostgreSQL takes SIGQUIT as "at once", RabbitMQ's script
    # dies of it, and `stop` kills what is left of both.
    stop(processes, signal.SIGQUIT)
    docker.remove(containers)
    if directory is not None:
        remove_directory(directory)


def remove_directory(directory: Path) -> None:
    """Remove a directory with all it holds; that another run removes the same one at the same time is no error."""
    shutil.rmtree(directory, onerror=_unless_gone)


def _unless_gone(function: object, path: str, error: tuple[Any, BaseException, Any]) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]
