"""The servers of tests and of `up`, found and started for real."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import asyncpg
import pytest

from crm_local.servers import NoServer, Servers, environment, shared
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
        found = set(pool.map(lambda _: (shared.servers().database_url, shared.servers().amqp_url), range(4)))
    assert found == {(servers.database_url, servers.amqp_url)}


def test_our_own_servers_listen_on_loopback_only(servers: Servers) -> None:
    hosts = {urlsplit(url).hostname for url in (servers.database_url, servers.amqp_url)}
    assert hosts == {"127.0.0.1"} or not servers.directories


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
