"""Our own PostgreSQL and RabbitMQ with TLS, and PgBouncer if it is available."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from crm_local import ports
from crm_local.accounts import write_private
from crm_local.processes import stop
from crm_local.servers import await_ready, own, remove_directory
from tests.connections.certificates import Authority

_POOLER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
collect_ignore = [] if _POOLER else ["test_pooler.py"]


def pytest_report_header() -> str:
    """Report what is left out, and why."""
    return f"PgBouncer: {'tested' if _POOLER else 'not tested, there is none here (apt-get install pgbouncer)'}"


@dataclass(frozen=True)
class Files:
    """PEM files by purpose."""

    directory: Path

    def write(self, name: str, text: str) -> str:
        """Write a file. Return its path."""
        path = write_private(self.directory / name, text)
        return str(path)


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A directory that servers can reach under any account."""
    made = Path(tempfile.mkdtemp(prefix="liaison-tls-"))
    made.chmod(0o711)
    yield made
    remove_directory(made)


@pytest.fixture(scope="session")
def files(directory: Path) -> Files:
    """The files of the clients."""
    mine = directory / "client"
    mine.mkdir()
    return Files(mine)


@pytest.fixture(scope="session")
def authority(files: Files) -> tuple[Authority, str]:
    """The authority of the servers, and the file of its certificate."""
    made = Authority("Liaison tests")
    return made, files.write("authority.pem", made.certificate)


@pytest.fixture(scope="session")
def stranger(files: Files) -> str:
    """The certificate file of an authority that signed none of the servers."""
    return files.write("stranger.pem", Authority("somebody else").certificate)


@dataclass(frozen=True)
class Postgres:
    """A server with TLS for `localhost`, and not for 127.0.0.1."""

    user: str
    password: str
    port: int
    sockets: Path

    def url(self, host: str = "localhost", query: str = "", *, user: str = "", password: str = "") -> str:
        """Return a URL, by default of the operator."""
        account = f"{user or self.user}:{password or self.password}"
        return f"postgresql://{account}@{host}:{self.port}/postgres{query and '?'}{query}"


@pytest.fixture(scope="session")
def postgres(directory: Path, authority: tuple[Authority, str]) -> Iterator[Postgres]:
    """A server that refuses unencrypted connections except on its socket.

    The role `certified` logs in by its certificate.
    """
    (port,) = ports.choose(1)
    instance = own.postgres_cluster(directory / "postgres", port, None, log=directory / "postgres.log", throwaway=True)
    account, place = instance.command.account, directory / "postgres"
    certificate, key = authority[0].certify("postgres", "localhost")
    write_private(place / "server.crt", certificate, account)
    write_private(place / "server.key", key, account)
    write_private(place / "clients.crt", authority[0].certificate, account)
    with (place / "data" / "postgresql.conf").open("a") as file:
        file.write(
            f"ssl = on\nssl_cert_file = '{place}/server.crt'\nssl_key_file = '{place}/server.key'\n"
            f"ssl_ca_file = '{place}/clients.crt'\n"
        )
    rules = "local all all scram-sha-256\nhostssl all certified all cert\nhostssl all all all scram-sha-256\n"
    write_private(place / "data" / "pg_hba.conf", rules, account)
    sockets = Path(tempfile.mkdtemp(prefix="liaison-pg-"))
    if account is not None:
        os.chown(sockets, account.uid, account.gid)
    sockets.chmod(0o755)
    argv = (*instance.command.argv, f"--unix_socket_directories={sockets}")
    instance = replace(instance, command=replace(instance.command, argv=argv))
    process = instance.command.start()
    try:
        await_ready(instance, process)
        parts = urlsplit(instance.url)
        yield Postgres(str(parts.username), str(parts.password), port, sockets)
    finally:
        stop([process])
        remove_directory(sockets)


@dataclass(frozen=True)
class Rabbit:
    """A node with TLS for `localhost`, and not for 127.0.0.1. `plain` is its port without TLS."""

    password: str
    port: int
    plain: int
    management_url: str

    def url(self, host: str = "localhost", query: str = "", *, port: int = 0, password: str = "") -> str:
        """Return a URL of the virtual host `/`, by default of the operator."""
        return f"amqps://liaison:{password or self.password}@{host}:{port or self.port}/%2F{query and '?'}{query}"


@pytest.fixture(scope="session")
def rabbit(directory: Path, authority: tuple[Authority, str]) -> Iterator[Rabbit]:
    """Our own node."""
    place = directory / "rabbitmq"
    *taken, secure, management = ports.choose(6)
    node = own.rabbitmq_node(place, directory.name, taken, None, log=directory / "rabbitmq.log")
    account = node.command.account
    certificate, key = authority[0].certify("rabbitmq", "localhost")
    for name, text in (("server.crt", certificate), ("server.key", key), ("ca.crt", authority[0].certificate)):
        write_private(place / name, text, account)
    files = {"cacertfile": "ca.crt", "certfile": "server.crt", "keyfile": "server.key"}
    lines = [f"listeners.ssl.local = 127.0.0.1:{secure}", "management.ssl.ip = 127.0.0.1"]
    lines += [f"management.ssl.port = {management}"]
    for section in ("ssl_options", "management.ssl"):
        lines += [f"{section}.{name} = {place}/{file}" for name, file in files.items()]
    configured = (place / "rabbitmq.conf").read_text() + "\n".join(lines) + "\n"
    write_private(place / "rabbitmq.conf", configured, account)
    process = node.command.start()
    try:
        await_ready(node, process)
        parts = urlsplit(node.url)
        secured = f"https://liaison:{parts.password}@localhost:{management}"
        yield Rabbit(str(parts.password), secure, taken[0], secured)
    finally:
        stop([process])
