"""The servers that tests and `up` run on, found and started for real."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import aiormq
import asyncpg
import pytest

from crm_local import ports
from crm_local.processes import stop, wait_until
from crm_local.servers import (
    Instance,
    NoServer,
    Servers,
    await_ready,
    environment,
    own,
    rabbitmq,
    remove_directory,
    shared,
)
from crm_local.servers.rabbitmq import call


async def test_postgres_has_the_extensions_and_lets_us_make_databases(servers: Servers) -> None:
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute("create database provisioning_check")
        await connection.execute("drop database provisioning_check")
        names = {row["name"] for row in await connection.fetch("select name from pg_available_extensions")}
    finally:
        await connection.close()
    assert {"pg_trgm", "btree_gist"} <= names


async def test_postgres_refuses_a_wrong_password(servers: Servers) -> None:
    parts = urlsplit(servers.database_url)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=parts.hostname, port=parts.port, user=parts.username, password="wrong", database="postgres"
        )


def test_broker_offers_quorum_queues_and_streams_in_a_vhost_of_our_own(servers: Servers) -> None:
    management = servers.amqp_management_url
    assert management
    call(management, "PUT", "/api/vhosts/provisioning%2Fcheck", {})
    try:
        for kind in ("quorum", "stream"):
            body = {"durable": True, "arguments": {"x-queue-type": kind}}
            call(management, "PUT", f"/api/queues/provisioning%2Fcheck/{kind}", body)
        made = {queue["name"] for queue in call(management, "GET", "/api/queues/provisioning%2Fcheck")}
    finally:
        call(management, "DELETE", "/api/vhosts/provisioning%2Fcheck")
    assert made == {"quorum", "stream"}


def test_everybody_in_a_run_gets_the_same_servers(servers: Servers) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: shared.servers().dump(), range(4))) == {servers.dump()}


def test_our_own_servers_listen_on_loopback_only(servers: Servers) -> None:
    hosts = {urlsplit(url).hostname for url in (servers.database_url, servers.amqp_url)}
    assert hosts == {"127.0.0.1"} or not servers.processes


def test_servers_of_the_environment_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://me:secret@db.internal/postgres")
    monkeypatch.setenv("AMQP_URL", "amqp://me:secret@mq.internal/crm")
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", "http://me:secret@mq.internal:15672")
    database, broker = environment.postgres(), environment.rabbitmq()
    assert database is not None
    assert database.url == "postgresql://me:secret@db.internal/postgres"
    assert broker is not None
    assert broker.management_url == "http://me:secret@mq.internal:15672"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DATABASE_URL", "mysql://x"), ("AMQP_URL", "http://x"), ("AMQP_MANAGEMENT_URL", "http://x:15672")],
)
def test_a_url_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    for name in ("DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(NoServer, match=variable):
        _ = environment.postgres(), environment.rabbitmq()


@pytest.fixture
def node() -> Iterator[Instance]:
    """A node of our own, whatever the other tests run on."""
    if rabbitmq.binaries() is None:
        pytest.skip("RabbitMQ's programs are not on this machine")
    directory = Path(tempfile.mkdtemp(prefix="liaison-node-"))
    directory.chmod(0o711)
    node = own.rabbitmq_node(directory / "node", directory.name, ports.choose(4), None, log=directory / "node.log")
    process = node.command.start()
    try:
        await_ready(node, process)
        yield node
    finally:
        stop([process])
        remove_directory(directory)


def _crash_channels(node: Instance) -> None:
    bindir, account = rabbitmq.binaries(), node.command.account
    assert bindir is not None
    done = subprocess.run(
        [str(bindir / "rabbitmqctl"), "eval", "[exit(P, crash) || P <- rabbit_channel:list()]."],
        cwd=node.command.cwd,
        env={**os.environ, **node.command.env},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_a_channel_that_crashes_puts_no_event_into_the_log(node: Instance) -> None:
    canary = b"Ada Lovelace"
    body = b'{"specversion":"1.0","data":{"record":{"name":"' + canary + b'"}}}'
    connection = await aiormq.connect(node.url)
    channel = await connection.channel(publisher_confirms=False)
    # Until it commits, the channel's process holds what was published in a transaction.
    await channel.tx_select()
    await channel.queue_declare("somebody", durable=True, arguments={"x-queue-type": "quorum"})
    await channel.basic_publish(body, routing_key="somebody")
    await channel.queue_declare("somebody", passive=True)
    await asyncio.to_thread(_crash_channels, node)

    def said() -> str:
        return node.command.log.read_text()

    assert wait_until(lambda: "terminating" in said() and "rabbit_channel_sup" in said(), 20)
    assert "When Server state" in said(), "the crash itself is told"
    assert canary.decode() not in said()
    assert "Server startup complete" in said()


async def test_a_statement_that_postgres_refuses_puts_no_value_into_its_log(servers: Servers) -> None:
    if servers.directory is None or not (log := servers.directory / "postgres.log").exists():
        pytest.skip("the server is not of our own")
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute("create temporary table people (name text primary key check (name <> 'Ada Lovelace'))")
        for statement, parameters in (
            ("insert into people values ($1)", ("Ada Lovelace",)),
            ("insert into people values ('Ada Lovelace')", ()),
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(statement, *parameters)
        told = "select setting from pg_settings where name = any($1) order by name"
        silent = [
            "log_min_error_statement",
            "log_parameter_max_length",
            "log_parameter_max_length_on_error",
            "log_statement",
        ]
        assert [row[0] for row in await connection.fetch(told, silent)] == ["panic", "0", "0", "none"]
    finally:
        await connection.close()
    assert wait_until(lambda: "people_name_check" in log.read_text(), 10)
    assert "Lovelace" not in log.read_text()
