"""The logs and the settings of our own servers: a separate node and cluster, whatever the other tests use. They are those of
the small profile, whose logs do not differ.

The conftest selects these tests if the programs are installed or can be installed.
"""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiormq
import asyncpg
import pytest

from crm_local import ports
from crm_local.capacity import of_own_server
from crm_local.processes import stop, wait_until
from crm_local.servers import Instance, await_ready, own, rabbitmq, remove_directory


@contextmanager
def room() -> Iterator[Path]:
    """A directory that servers of another user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="liaison-own-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        remove_directory(directory)


@contextmanager
def started(instance: Instance) -> Iterator[Instance]:
    process = instance.command.start()
    try:
        await_ready(instance, process)
        yield instance
    finally:
        stop([process])


@pytest.fixture
def node() -> Iterator[Instance]:
    """Our own node, whatever the other tests use."""
    with room() as directory:
        log = directory / "node.log"
        made = own.rabbitmq_node(directory / "node", directory.name, ports.choose(4), None, log=log, small=True)
        with started(made) as node:
            yield node


def _evaluate(node: Instance, expression: str) -> str:
    bindir, account = rabbitmq.binaries(), node.command.account
    assert bindir is not None
    done = subprocess.run(
        [str(bindir / "rabbitmqctl"), "eval", expression],
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
    return done.stdout.strip()


async def test_a_channel_that_crashes_puts_no_event_into_the_log(node: Instance) -> None:
    canary = b"Ada Lovelace"
    body = b'{"specversion":"1.0","data":{"record":{"name":"' + canary + b'"}}}'
    connection = await aiormq.connect(node.url)
    channel = await connection.channel(publisher_confirms=False)
    # Until the commit, the channel's process holds what was published in a transaction.
    await channel.tx_select()
    await channel.queue_declare("somebody", durable=True, arguments={"x-queue-type": "quorum"})
    await channel.basic_publish(body, routing_key="somebody")
    await channel.queue_declare("somebody", passive=True)
    settings = (
        "[application:get_env(ra, wal_max_size_bytes), erlang:system_info(schedulers), rabbit_misc:get_env(rabbit,"
    )
    settings += " collect_statistics_interval, 0)]."
    told = await asyncio.to_thread(_evaluate, node, settings)
    assert told == "[{ok,8000000},1,30000]", "as CRM_PROFILE=small promises"
    await asyncio.to_thread(_evaluate, node, "[exit(P, crash) || P <- rabbit_channel:list()].")

    def said() -> str:
        return node.command.log.read_text()

    assert wait_until(lambda: "terminating" in said() and "rabbit_channel_sup" in said(), 120)
    assert "When Server state" in said(), "the crash itself is told"
    assert canary.decode() not in said()
    assert "Server startup complete" in said()


@pytest.fixture
def cluster() -> Iterator[Instance]:
    with room() as directory:
        log = directory / "postgres.log"
        port = ports.choose(1)[0]
        connections = of_own_server(small=True)
        made = own.postgres_cluster(
            directory / "postgres", port, None, log=log, throwaway=True, small=True, connections=connections
        )
        with started(made) as cluster:
            yield cluster


async def test_a_statement_that_postgres_refuses_puts_no_value_into_its_log(cluster: Instance) -> None:
    """PostgreSQL logs refused statements. The row that violates a rule is in the error's detail."""
    connection = await asyncpg.connect(cluster.url)
    try:
        await connection.execute("create table people (name text primary key, size int check (size > 0))")
        await connection.execute("insert into people values ('Ada Lovelace', 1)")
        for statement, parameters in (
            ("insert into people values ($1, $2)", ("Ada Lovelace", 1)),
            ("insert into people values ($1, $2)", ("Ada Byron, later Lovelace", -1)),
            ("insert into people values ('Ada Byron, later Lovelace', -1)", ()),
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError):
                await connection.execute(statement, *parameters)
        told = "select setting from pg_settings where name = any($1) order by name"
        silent = [
            "log_min_error_statement",
            "log_parameter_max_length",
            "log_parameter_max_length_on_error",
            "log_statement",
        ]
        assert [row[0] for row in await connection.fetch(told, silent)] == ["panic", "0", "0", "none"]
        sizes = ("shared_buffers", "max_connections", "autovacuum_naptime", "jit")
        assert [await connection.fetchval("select current_setting($1)", name) for name in sizes] == [
            *("24MB", "100", "3min", "off")
        ]
        kinds = await connection.fetch("select backend_type from pg_stat_activity")
        assert "logical replication launcher" not in {row[0] for row in kinds}
    finally:
        await connection.close()
    log = cluster.command.log
    assert wait_until(lambda: "people_size_check" in log.read_text(), 120)
    assert "people_pkey" in log.read_text(), "the refused statements themselves are told"
    assert "Lovelace" not in log.read_text()
