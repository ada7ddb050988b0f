"""A real PgBouncer in transaction mode between an API and its database."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from crm_identity.app import SERVICE
from crm_identity.business_unit.model import ROOT_ID as UNIT
from crm_identity.main import app as identity_app
from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Runtime, Service, build_runtime
from crm_kit.schema.setup import prepare
from crm_kit.store import sessions
from crm_kit.store.database import Database, fetch
from crm_kit.store.sessions import Pooled
from crm_kit.testing import Client, Issuer
from crm_kit.testing.databases import ServiceDatabase, settings_for
from crm_local import ports
from crm_local.accounts import server_account, write_private
from crm_local.processes import Command, stop, wait_until
from crm_local.servers import Servers

SERVER_CONNECTIONS = 2
CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users
admin_users = {user}
pool_mode = transaction
default_pool_size = {size}
"""


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return identity_app


@pytest.fixture(scope="module")
def pooler(servers: Servers, directory: Path) -> Iterator[str]:
    """The host and port of a pooler with fewer connections to the server than the API has to the pooler."""
    server = urlsplit(servers.database_url)
    place, account, listen = directory / "pgbouncer", server_account("postgres"), ports.choose(1)[0]
    place.mkdir()
    place.chmod(0o711)
    written = CONFIGURATION.format(
        host=server.hostname,
        port=server.port,
        listen=listen,
        directory=place,
        user=server.username,
        size=SERVER_CONNECTIONS,
    )
    configured = write_private(place / "pgbouncer.ini", written, account)
    write_private(place / "users", f'"{server.username}" "{server.password}"\n', account)
    path = f"{os.environ['PATH']}:/usr/sbin"
    argv = ("/usr/bin/env", f"PATH={path}", "pgbouncer", str(configured))
    process = Command("pgbouncer", argv, directory / "pgbouncer.log", place, account=account).start()
    try:
        assert wait_until(lambda: ports.accepts(listen), 120), (directory / "pgbouncer.log").read_text()
        yield f"127.0.0.1:{listen}"
    finally:
        stop([process])


def through(pooler: str, url: str) -> str:
    """The same database through the pooler."""
    parts = urlsplit(url)
    return f"postgresql://{parts.username}:{parts.password}@{pooler}{parts.path}"


@pytest.fixture(scope="module")
def settings(pooler: str, database: ServiceDatabase, issuer: Issuer) -> Settings:
    """The settings of an API, as in a deployment."""
    told = settings_for(
        SERVICE, through(pooler, database.url), issuer.jwks_url, DATABASE_DIRECT_URL=database.url, CRM_POOL_SIZE=8
    )
    with ThreadPoolExecutor(1) as thread:
        thread.submit(prepare, SERVICE, told).result()
    return told


async def test_an_api_serves_many_at_once_over_few_connections(client: Client, runtime: Runtime) -> None:
    async def make(number: int) -> None:
        made = await client.post("/api/v1/teams", {"name": f"Team {number}", "business_unit_id": str(UNIT)})
        assert made.status == 201, made.body
        place = f"/api/v1/teams/{made.json['id']}"
        seen = await client.get(place)
        assert seen.json["name"] == f"Team {number}"
        changed = await client.patch(place, {"name": f"Crew {number}"})
        assert changed.status == 200, changed.body

    for start in range(0, 40, 4):
        await asyncio.gather(*(make(number) for number in range(start, start + 4)))
    listed = await client.get("/api/v1/teams?count=exact&limit=50&name[contains]=Crew")
    assert (listed.status, len(listed.json["items"])) == (200, 40), listed.body
    del runtime


async def test_statements_of_many_connections_meet_no_names_of_others(settings: Settings) -> None:
    runtime = build_runtime(SERVICE, settings)
    others: dict[int, set[int]] = {}

    async def ask(number: int) -> None:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("select 1")
            rows = await fetch(conn, "select $1::int[] as numbers, $2::jsonb::text as body", ([number], f"{number}"))
            assert (rows[0][0], json.loads(rows[0][1])) == ([number], number)
            first = await conn.exec_driver_sql("select pg_backend_pid()")
            second = await conn.exec_driver_sql("select pg_backend_pid()")
            assert first.scalar_one() == second.scalar_one(), "a transaction stays where it is"
        async with runtime.db.autocommit() as conn:
            for turn in range(3):
                found = await conn.exec_driver_sql(f"select $1::int + {turn}, pg_backend_pid()", (number,))
                row: Any = found.one()
                assert row[0] == number + turn
                others.setdefault(number, set()).add(row[1])

    try:
        for _ in range(5):
            await asyncio.gather(*(ask(number) for number in range(8)))
        assert len(set().union(*others.values())) <= SERVER_CONNECTIONS
    finally:
        await runtime.db.dispose()


async def test_what_an_api_works_under_is_the_roles(settings: Settings) -> None:
    runtime = build_runtime(SERVICE, settings)
    names = ("TimeZone", "jit", "enable_seqscan", "lock_timeout", "statement_timeout")
    try:
        async with runtime.db.autocommit() as conn:
            shown = [(await conn.exec_driver_sql(f"select current_setting('{name}')")).scalar_one() for name in names]
        assert shown == ["UTC", "off", "off", "2s", "48s"]
    finally:
        await runtime.db.dispose()


@pytest.mark.usefixtures("settings")
async def test_settings_that_a_pooler_does_not_have_are_told_once(pooler: str, database: ServiceDatabase) -> None:
    sessions._warned.clear()
    with capture_logs() as lines:
        url = through(pooler, database.url)
        for _ in range(2):
            db = Database(url, pool_size=1, application_name="test", statement_seconds=1.5, is_pooled=True)
            async with db.autocommit() as conn:
                await conn.exec_driver_sql("select 1")
            await db.dispose()
    (line,) = [line for line in lines if line["event"] == "database.settings"]
    assert "statement_timeout is 48s, not 1500ms" in line["found"]


async def test_workers_and_listeners_go_past_the_pooler(settings: Settings, database: ServiceDatabase) -> None:
    runtime = build_runtime(SERVICE, settings.model_copy(update={"role": "worker"}))
    try:
        async with runtime.db.autocommit() as conn:
            port = (await conn.exec_driver_sql("select inet_server_port()")).scalar_one()
            raw: Any = (await conn.get_raw_connection()).driver_connection
            same = (await conn.exec_driver_sql("select pg_backend_pid()")).scalar_one() == raw.get_server_pid()
        assert (port, same) == (urlsplit(database.url).port, True)
    finally:
        await runtime.db.dispose()
    heard: asyncio.Queue[str] = asyncio.Queue()
    runtime.notifier.listen("channel", heard.put_nowait)
    await runtime.notifier.start()
    try:
        async with asyncio.timeout(120):
            assert await heard.get() == ""
            runtime.notifier.notify("channel", "a wish")
            # Whoever begins to listen makes everybody look, itself too.
            while (said := await heard.get()) == "":
                continue
            assert said == "a wish"
    finally:
        await runtime.notifier.stop()


@pytest.fixture
def unaware(pooler: str, database: ServiceDatabase) -> str:
    """A URL of the pooler that is used as if it were that of the server."""
    return through(pooler, database.url)


async def test_a_pooler_that_nobody_spoke_of_is_told(unaware: str) -> None:
    db = Database(unaware, pool_size=1, application_name="test", minds_pooler=True)
    try:
        with pytest.raises(Pooled, match="set DATABASE_DIRECT_URL to the server itself"):
            async with db.autocommit():
                pass
    finally:
        await db.dispose()


async def test_a_pool_that_is_said_to_keep_sessions_is_believed(unaware: str) -> None:
    told = settings_for(SERVICE, unaware, DATABASE_DIRECT_URL=unaware)
    assert not told.is_pooled
    runtime = build_runtime(SERVICE, told)
    try:
        async with runtime.db.begin() as conn:
            assert (await conn.exec_driver_sql("select 1")).scalar_one() == 1
    finally:
        await runtime.db.dispose()


def test_setup_ends_at_once_where_nobody_spoke_of_a_pooler(unaware: str) -> None:
    told = {"CRM_SERVICE": "identity", "CRM_SECRET": "hunter2", "DATABASE_URL": unaware}
    done = subprocess.run(
        [sys.executable, "-c", "from crm_identity import setup; setup.run()"],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "leads through a connection pooler: set DATABASE_DIRECT_URL" in done.stderr
    assert "Traceback" not in done.stderr


async def test_start_up_parameters_are_what_a_pooler_refuses(unaware: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match="jit"):
        await asyncpg.connect(unaware, server_settings={"jit": "off"})
