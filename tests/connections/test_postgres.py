"""DATABASE_URL with libpq's parameters, with a server that requires TLS."""

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from urllib.parse import quote

import asyncpg
import pytest

from crm_kit.network.postgres import Target, why
from crm_kit.network.urls import BadUrl, as_role, in_database
from crm_kit.store.database import Database
from crm_kit.store.notify import Notifier
from crm_local.ports import choose
from tests.connections.certificates import Authority
from tests.connections.conftest import Files, Postgres

Trust = tuple[Authority, str]


async def asked(url: str, sql: str = "select ssl from pg_stat_ssl where pid = pg_backend_pid()") -> object:
    """Return the answer on the engine's connection."""
    db = Database(url, pool_size=1, application_name="engine")
    try:
        async with db.autocommit() as conn:
            return (await conn.exec_driver_sql(sql)).scalar_one()
    finally:
        await db.dispose()


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca", "verify-full"])
async def test_every_sslmode_that_encrypts_does(postgres: Postgres, authority: Trust, mode: str) -> None:
    assert await asked(postgres.url(query=f"sslmode={mode}&sslrootcert={authority[1]}")) is True


async def test_without_encryption_the_server_says_no(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError) as refused:
        await Target.of(postgres.url(query="sslmode=disable")).connect("test")
    assert "no encryption" in why(refused.value)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_an_authority_that_did_not_sign_is_told(postgres: Postgres, stranger: str, mode: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        await Target.of(postgres.url(query=f"sslmode={mode}&sslrootcert={stranger}")).connect("test")
    assert why(refused.value).startswith("the server's certificate is not trusted: ")


async def test_only_verify_full_minds_the_name_of_the_host(postgres: Postgres, authority: Trust) -> None:
    query = f"sslrootcert={authority[1]}"
    assert await asked(postgres.url("127.0.0.1", f"{query}&sslmode=verify-ca")) is True
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        await Target.of(postgres.url("127.0.0.1", f"{query}&sslmode=verify-full")).connect("test")
    assert "127.0.0.1" in why(refused.value)


async def test_whom_this_machine_trusts_is_an_authority_too(
    postgres: Postgres, authority: Trust, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority[1])
    assert await asked(postgres.url(query="sslrootcert=system")) is True
    monkeypatch.setenv("SSL_CERT_FILE", stranger)
    with pytest.raises(ssl.SSLCertVerificationError):
        await Target.of(postgres.url(query="sslrootcert=system&sslmode=verify-full")).connect("test")


async def test_a_role_logs_in_by_its_certificate(postgres: Postgres, authority: Trust, files: Files) -> None:
    operator = await Target.of(postgres.url()).connect("test")
    await operator.execute("create role certified login")
    try:
        certificate, key = authority[0].certify("certified")
        mine = f"sslcert={files.write('mine.crt', certificate)}&sslkey={files.write('mine.key', key)}"
        place = f"postgresql://certified@localhost:{postgres.port}/postgres"
        url = f"{place}?sslmode=verify-full&sslrootcert={authority[1]}"
        assert await asked(f"{url}&{mine}", "select current_user::text") == "certified"
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await Target.of(url).connect("test")
    finally:
        await operator.execute("drop role certified")
        await operator.close()


@pytest.fixture
async def awkward(postgres: Postgres) -> AsyncIterator[str]:
    """A role whose password has every character with a meaning in URLs."""
    password = "p@ss/w:rd?x#y%z &+=ü,[]"
    operator = await Target.of(postgres.url()).connect("test")
    await operator.execute(f"create role awkward login password '{password}'")
    yield password
    await operator.execute("drop role awkward")
    await operator.close()


async def test_a_percent_encoded_password_and_a_socket(postgres: Postgres, awkward: str) -> None:
    encoded = quote(awkward, safe="")
    place = quote(str(postgres.sockets), safe="")
    sql = "select current_user || ' ' || coalesce(host(inet_client_addr()), 'socket')"
    for url in (
        f"postgresql://awkward:{encoded}@{place}:{postgres.port}/postgres",
        f"postgresql://awkward:{encoded}@/postgres?host={postgres.sockets}&port={postgres.port}",
        f"postgresql:///postgres?host={place}&port={postgres.port}&user=awkward&password={encoded}",
        as_role(f"postgresql:///x?host={place}&port={postgres.port}&dbname=postgres", "awkward", awkward),
        in_database(f"postgres://awkward:{encoded}@{place}:{postgres.port}?dbname=x", "postgres"),
    ):
        assert await asked(url, sql) == "awkward socket", url
    assert await asked(postgres.url("127.0.0.1", user="awkward", password=encoded), sql) == "awkward 127.0.0.1"


async def test_parameters_of_the_session_are_those_of_the_url(postgres: Postgres) -> None:
    query = (
        "application_name=by%20operator&options=-c%20work_mem%3D7MB&connect_timeout=7&keepalives_idle=30"
        "&channel_binding=prefer&gssencmode=disable"
    )
    sql = "select current_setting('application_name') || ' ' || current_setting('work_mem')"
    assert await asked(postgres.url(query=query), sql) == "by operator 7MB"
    sql = "select concat_ws(' ', {})".format(
        ", ".join(f"current_setting('{name}')" for name in ("application_name", "jit", "TimeZone", "lock_timeout"))
    )
    assert await asked(postgres.url(), sql) == "engine off UTC 2s"


async def test_hosts_are_tried_in_turn_until_one_is_what_is_asked_for(postgres: Postgres) -> None:
    closed = choose(1)[0]
    hosts = f"localhost:{closed},nowhere.invalid:{postgres.port},localhost"
    for role in ("any", "read-write", "primary", "prefer-standby"):
        assert await asked(postgres.url(hosts, f"target_session_attrs={role}&connect_timeout=3")) is True
    with pytest.raises(asyncpg.exceptions.TargetServerAttributeNotMatched):
        await Target.of(postgres.url(hosts, "target_session_attrs=standby")).connect("test")


async def test_a_host_that_does_not_answer_costs_its_own_timeout_only(postgres: Postgres) -> None:
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    try:
        deaf = silent.sockets[0].getsockname()[1]
        hosts = f"127.0.0.1:{deaf},localhost"
        assert await asked(postgres.url(hosts, "connect_timeout=2")) is True
    finally:
        silent.close()


async def test_listening_goes_the_same_way(postgres: Postgres, authority: Trust) -> None:
    notifier = Notifier(postgres.url(query=f"sslmode=verify-full&sslrootcert={authority[1]}"), "listener")
    heard: asyncio.Queue[str] = asyncio.Queue()
    notifier.listen("channel", heard.put_nowait)
    await notifier.start()
    try:
        async with asyncio.timeout(120):
            assert await heard.get() == ""
            notifier.notify("channel", "a wish")
            # Whoever begins to listen makes everybody look, itself too.
            while (said := await heard.get()) == "":
                continue
            assert said == "a wish"
    finally:
        await notifier.stop()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://h/d", "must look like postgresql://"),
        ("postgresql://h/d?sslmode=strict", "sslmode must be one of: disable, allow"),
        ("postgresql://h/d?sslmode=verify-full", "sslmode=verify-full needs sslrootcert"),
        ("postgresql://h/d?sslrootcert=/nowhere.pem", "sslrootcert: /nowhere.pem does not exist"),
        ("postgresql://h/d?sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("postgresql://h/d?jit=off", "'jit' is not a known parameter"),
        ("postgresql://h/d?channel_binding=require", "channel_binding=require is not supported"),
        ("postgresql://h:0/d", "'0' is no port"),
        ("postgresql://a,b/d?port=1,2,3", "there are 3 ports for 2 hosts"),
        ("postgresql://u:hunter2%@h/d", "'%' must be written as %25"),
        ("postgresql://u:hunter2#@h/d", "'#' must be written as %23"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_without_its_secret(url: str, told: str) -> None:
    with pytest.raises(BadUrl) as refused:
        Target.of(url)
    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


SETUP = "from crm_gateway import setup; setup.run()"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p, _: p.url(password="hunter2"), "correct the user and its password in DATABASE_URL"),
        (lambda p, _: p.url("nowhere.invalid", password="hunter2"), "correct the host in DATABASE_URL"),
        (lambda p, _: p.url().replace("/postgres", "/nowhere"), "correct the database in DATABASE_URL"),
        (lambda p, _: p.url().replace(str(p.port), str(choose(1)[0])), "or correct host and port in DATABASE_URL"),
        (lambda p, _: p.url(query="sslmode=disable"), "write sslmode=require instead of disable in DATABASE_URL"),
        (
            lambda p, s: p.url(query=f"sslmode=verify-full&sslrootcert={s}"),
            "name the certificate of its authority as sslrootcert in DATABASE_URL",
        ),
        (lambda p, _: p.url(query="sslmode=maybe", password="hunter2"), "sslmode must be one of"),
    ],
    ids=["password", "host", "database", "port", "no TLS", "authority", "parameter"],
)
def test_setup_ends_at_once_with_the_reason(postgres: Postgres, stranger: str, change: object, told: str) -> None:
    assert callable(change)
    told_to = {"CRM_SERVICE": "gateway", "CRM_ROLE": "worker", "CRM_SECRET": "hunter2"}
    environment = {**os.environ, **told_to, "DATABASE_URL": change(postgres, stranger)}
    done = subprocess.run(
        [sys.executable, "-c", SETUP], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not {"hunter2", postgres.password} & set(done.stderr.replace(":", " ").replace("@", " ").split())
