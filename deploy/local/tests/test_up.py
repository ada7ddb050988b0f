"""`crm up` from the outside, with two tiny services instead of the suite's: real processes, servers and databases."""

import asyncio
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from crm_kit.network.urls import as_user
from crm_local import cli, control, ports, rolling
from crm_local.probes import ready
from crm_local.processes import ProcessRef, followers, wait_until
from crm_local.servers import Servers, compose, docker
from crm_local.servers.rabbitmq import call
from crm_local.state import Home, Member

_SERVE = """
import json, os, signal, socket, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        broken = os.path.exists(os.path.join(os.environ["CRM_HOME"], "broken"))
        self.send_response(503 if broken and self.path == "/readyz" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())

    def log_message(self, *_):
        pass

def run():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = HTTPServer((os.environ["CRM_BIND_HOST"], int(os.environ["CRM_PORT"])), Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=int(os.environ["CRM_LISTEN_FD"]))
    if "CRM_READY_FD" in os.environ:
        broken = os.path.exists(os.path.join(os.environ["CRM_HOME"], "broken"))
        os.write(int(os.environ["CRM_READY_FD"]), b"something is broken\\n" if broken else b"\\nready\\n")
    server.serve_forever()
"""
_SETUP = """
import asyncio, os
import asyncpg

async def make():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute("create table if not exists kept (word text)")
    await connection.close()

def run():
    asyncio.run(make())
"""
_DRIVER = """
from crm_local import control, up
from crm_local.state import Home
from crm_local.suite import Service
up._READY_SECONDS = 5
try:
    up.run(Home.from_environment(), (Service("one", "probe_one"), Service("gateway", "probe_front")))
except control.NotReady as reason:
    raise SystemExit(f"crm: {reason}")
"""


class Place:
    """A home, the environment of its `up`, and the tiny services that it runs."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Home(root / "home")
        for package in ("probe_one", "probe_front"):
            directory = root / "services" / package
            directory.mkdir(parents=True)
            for module, text in {
                "__init__": "",
                "main": _SERVE,
                "worker": _SERVE,
                "setup": _SETUP,
                "consumers": f"from crm_kit.events.consumers import Consumers\nCONSUMERS = Consumers('{package}')\n",
            }.items():
                (directory / f"{module}.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(root / "services"))
        monkeypatch.setenv("CRM_HOME", str(self.home.path))
        monkeypatch.setenv("CRM_GATEWAY_PORT", str(ports.choose(1)[0]))
        self.home.make()

    def up(self) -> bool:
        return control.launch(self.home, [sys.executable, "-c", _DRIVER])

    def database_url(self) -> str:
        told = self.told("one-api")["DATABASE_URL"]
        assert isinstance(told, str)
        return told

    def told(self, name: str) -> dict[str, Any]:
        """Return the environment of a service, which the tiny services report."""
        url = next(one["url"] for one in control.status(self.home)["services"] if one["name"] == name)
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
        try:
            connection.request("GET", "/")
            told: dict[str, Any] = json.load(connection.getresponse())
        finally:
            connection.close()
        return told


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A home whose suite is stopped at the end of the test."""
    for name in ("DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL", "CRM_ADMIN_PASSWORD", "CRM_INSTANCE"):
        monkeypatch.delenv(name, raising=False)
    # Not below pytest's own directory, which the accounts of PostgreSQL and RabbitMQ cannot enter.
    root = Path(tempfile.mkdtemp(prefix="liaison-up-"))
    root.chmod(0o711)
    place = Place(root, monkeypatch)
    yield place
    control.down(place.home)
    _discard_containers(place.home)
    shutil.rmtree(root)


def _discard_containers(home: Home) -> None:
    """Remove the containers of a home, which `down` leaves with their data."""
    if not docker.has_engine():
        return
    label = f"label=com.docker.compose.project={compose.project(home.kept().instance)}"
    for kind, forced in (("container", ["--force"]), ("volume", []), ("network", [])):
        every = ["--all"] if kind == "container" else []
        found = docker.ask(kind, "ls", "--quiet", *every, "--filter", label)
        if found:
            assert docker.ask(kind, "rm", *forced, *found.split()) is not None


@pytest.fixture
def guest(place: Place, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A home whose suite uses the servers of the test run, and leaves nothing on them."""
    monkeypatch.setenv("DATABASE_URL", servers.database_url)
    monkeypatch.setenv("AMQP_URL", servers.amqp_url)
    monkeypatch.setenv("AMQP_MANAGEMENT_URL", servers.amqp_management_url or "")
    yield place
    control.down(place.home)
    instance = place.home.kept().instance
    for name in (f"{instance}_crm_one", f"{instance}_crm_gateway"):
        dropped = (f'drop database if exists "{name}"', f'drop role if exists "{name}"')
        asyncio.run(_run_sql(servers.database_url, *dropped))
    if servers.amqp_management_url:
        names = [vhost["name"] for vhost in call(servers.amqp_management_url, "GET", "/api/vhosts")]
        if instance in names:
            call(servers.amqp_management_url, "DELETE", f"/api/vhosts/{instance}")
        for user in call(servers.amqp_management_url, "GET", "/api/users"):
            if user["name"].startswith(f"{instance}."):
                call(servers.amqp_management_url, "DELETE", f"/api/users/{user['name']}")


async def _run_sql(url: str, *statements: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [await connection.fetchval(statement) for statement in statements]
    finally:
        await connection.close()


def test_up_reports_every_process_and_down_ends_exactly_these(guest: Place) -> None:
    assert guest.up()
    report = control.status(guest.home)
    assert report["state"] == "ready"
    assert {one["name"] for one in report["services"]} == {"one-api", "one-worker", "gateway-api", "gateway-worker"}
    assert report["gateway_url"].endswith(f":{os.environ['CRM_GATEWAY_PORT']}")
    assert {one["name"]: one["state"] for one in report["servers"]} == {"postgres": "external", "rabbitmq": "external"}
    processes = [ProcessRef.of(one["pid"]) for one in report["services"]]
    assert set(control.down(guest.home)) == {one["name"] for one in report["services"]}
    assert not any(process.alive() for process in processes)
    assert control.status(guest.home)["state"] == "stopped"


def test_a_service_is_told_its_own_database_and_user_and_no_more(guest: Place, servers: Servers) -> None:
    assert guest.up()
    told = guest.told("one-worker")
    instance = guest.home.kept().instance
    assert (told["CRM_SERVICE"], told["CRM_ROLE"]) == ("one", "worker")
    assert urlsplit(told["DATABASE_URL"]).path == f"/{instance}_crm_one"
    assert told["AMQP_MANAGEMENT_URL"] == told["CRM_ADMIN_PASSWORD"] == ""
    if servers.amqp_management_url:
        assert urlsplit(told["AMQP_URL"]).username == f"{instance}.one"
        assert urlsplit(told["AMQP_URL"]).path == f"/{instance}"


def _account(url: str) -> tuple[str | None, str | None]:
    return urlsplit(url).username, urlsplit(url).password


def test_a_service_holds_nothing_that_another_or_the_operator_holds(guest: Place, servers: Servers) -> None:
    assert guest.up()
    told = {name: guest.told(f"{name}-api") for name in ("one", "gateway")}
    instance, kept = guest.home.kept().instance, guest.home.kept()
    for name, of_it in told.items():
        assert _account(of_it["DATABASE_URL"])[0] == f"{instance}_crm_{name}"
        held = json.dumps(of_it)
        operators = (_account(servers.database_url)[1], _account(servers.amqp_url)[1], guest.home.operator_secret())
        for secret in (*operators, kept.secret, kept.admin_password, kept.postgres_password, kept.rabbitmq_password):
            assert str(secret) not in held
    one, gateway = told["one"], told["gateway"]
    for variable in ("CRM_SECRET", "DATABASE_URL", "AMQP_URL"):
        assert one[variable] != gateway[variable]
    assert _account(one["DATABASE_URL"])[1] != _account(gateway["DATABASE_URL"])[1]
    rights = "select not rolsuper and not rolcreaterole and not rolcreatedb from pg_roles where rolname = current_user"
    assert asyncio.run(_run_sql(one["DATABASE_URL"], rights)) == [True]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(_run_sql(urlsplit(one["DATABASE_URL"])._replace(path=f"/{instance}_crm_gateway").geturl()))


def test_a_home_from_before_services_had_roles_goes_on(guest: Place, servers: Servers) -> None:
    name = f"{guest.home.kept().instance}_crm_one"
    asyncio.run(_run_sql(servers.database_url, f'create database "{name}"'))
    url = urlsplit(servers.database_url)._replace(path=f"/{name}").geturl()
    made = (
        "create extension pg_trgm",
        "create table kept (word text, number bigint generated always as identity)",
        "create sequence numbers",
        "create type colour as enum ('red')",
        "create view words as select word from kept",
        "create function one() returns int language sql as 'select 1'",
        "create schema aside create table more (number int)",
        "insert into kept (word) values ('from before')",
    )
    asyncio.run(_run_sql(url, *made))
    for _ in range(2):
        assert guest.up()
        owned = (
            "insert into kept (word) values ('and since') returning word",
            "alter table kept add column if not exists more text",
            "select nextval('numbers')",
            "create or replace view words as select word, 1 as one from kept",
            "alter type colour add value if not exists 'blue'",
            "create or replace function one() returns int language sql as 'select 2'",
            "alter table aside.more add column if not exists word text",
            "select min(word) from kept where word like 'from%'",
        )
        assert asyncio.run(_run_sql(guest.database_url(), *owned))[-1] == "from before"
        control.down(guest.home)


def test_without_the_right_to_make_roles_services_share_the_operators(
    guest: Place, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"poor_{os.getpid()}"
    asyncio.run(_run_sql(servers.database_url, f"create role {role} login createdb password 'poor'"))
    parts = urlsplit(servers.database_url)
    url = parts._replace(netloc=f"{role}:poor@{parts.netloc.rpartition('@')[2]}").geturl()
    monkeypatch.setenv("DATABASE_URL", url)
    try:
        assert guest.up()
        assert _account(guest.database_url()) == (role, "poor")
        assert "all services share it" in guest.home.log("prepare").read_text()
        control.down(guest.home)
        # Once the right exists, the roles do too.
        asyncio.run(_run_sql(servers.database_url, f"alter role {role} createrole"))
        assert guest.up()
        assert _account(guest.database_url())[0] == f"{guest.home.kept().instance}_crm_one"
    finally:
        control.down(guest.home)
        for name in ("one", "gateway"):
            owned = f"{guest.home.kept().instance}_crm_{name}"
            asyncio.run(_run_sql(servers.database_url, f'drop database "{owned}"', f'drop role if exists "{owned}"'))
        asyncio.run(_run_sql(servers.database_url, f"drop role {role}"))


def test_a_killed_service_comes_back(guest: Place) -> None:
    assert guest.up()
    victim = next(one for one in control.status(guest.home)["services"] if one["name"] == "one-worker")
    os.kill(victim["pid"], signal.SIGKILL)

    def is_back() -> bool:
        now = next(one for one in control.status(guest.home)["services"] if one["name"] == "one-worker")
        return bool(now["state"] == "ready" and now["restarts"] == 1 and now["pid"] != victim["pid"])

    assert wait_until(is_back, 120)


def _restarted(home: Home, name: str, victim: int) -> Callable[[], bool]:
    """Return the condition that the process of this name is another one, and ready."""

    def is_back() -> bool:
        report = control.status(home)
        members = [*report["services"], *(vars(one) for one in _members(home) if not one.url)]
        now = next(one for one in members if one["name"] == name)
        if "state" in now:
            return bool(now["state"] == "ready" and now["restarts"] >= 1 and now["pid"] != victim)
        return bool(now["restarts"] >= 1 and now["process"].pid != victim and now["process"].alive())

    return is_back


def _members(home: Home) -> list[Member]:
    state = home.state()
    return list(state.members.values()) if state is not None else []


def test_a_hung_service_is_started_again(guest: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_LIVENESS_SECONDS", "0.1")
    assert guest.up()
    victim = next(one for one in _members(guest.home) if one.name == "one-worker").process
    victim.signal(signal.SIGSTOP)
    assert wait_until(_restarted(guest.home, "one-worker", victim.pid), 120)
    assert not victim.alive()
    others = [one for one in _members(guest.home) if one.name != "one-worker"]
    assert [one.restarts for one in others] == [0, 0, 0]


def test_a_full_disk_ends_nothing_and_is_forgotten_when_there_is_room_again(guest: Place) -> None:
    assert guest.up()
    state = guest.home.state()
    assert state is not None
    # From now on a write to any file fails for the supervisor and its children, as on a full disk.
    hard = resource.prlimit(state.supervisor.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(state.supervisor.pid, resource.RLIMIT_FSIZE, (0, hard))
    victim = state.members["one-worker"].process
    victim.signal(signal.SIGKILL)
    url = state.members["one-worker"].url
    assert wait_until(lambda: not victim.alive() and ready(url)[0], 120)
    assert state.supervisor.alive()
    assert guest.home.state() == state
    resource.prlimit(state.supervisor.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert wait_until(_restarted(guest.home, "one-worker", victim.pid), 120)


def _pids(home: Home) -> dict[str, int]:
    return {name: member.process.pid for name, member in _member_names(home).items()}


def _member_names(home: Home) -> dict[str, Member]:
    return {one.name: one for one in _members(home)}


def _new_release(place: Place, package: str, module: str, text: str) -> None:
    """Replace the code on disk, with a time that differs from that in the cache of compiled modules."""
    path = place.home.path.parent / "services" / package / f"{module}.py"
    path.write_text(text)
    os.utime(path, (later := path.stat().st_mtime + 10, later))


def test_a_restart_runs_what_is_on_disk_now_and_replaces_what_was_named(guest: Place) -> None:
    assert guest.up()
    before = _pids(guest.home)
    said: list[str] = []
    _new_release(guest, "probe_one", "main", _SERVE.replace("dict(os.environ)", 'os.environ | {"RELEASE": "new"}'))
    assert rolling.restart(guest.home, ["one"], said.append), said
    after = _pids(guest.home)
    assert {name for name in after if after[name] != before[name]} == {"one-api", "one-worker"}
    assert [line.partition(":")[0] for line in said] == ["one-api", "one-worker"]
    assert guest.told("one-api")["RELEASE"] == "new"
    assert control.status(guest.home)["state"] == "ready"
    # The new processes are supervised like the others, and stop with them.
    os.kill(after["one-api"], signal.SIGKILL)
    assert wait_until(_restarted(guest.home, "one-api", after["one-api"]), 120)
    assert guest.told("one-api")["RELEASE"] == "new"
    processes = [one.process for one in _members(guest.home)]
    control.down(guest.home)
    assert not any(process.alive() for process in processes)


_BROKEN = {
    "dies": (
        "main",
        _SERVE.replace("server.serve_forever()", 'sys.exit("it cannot")').replace("ready", "not"),
        "it cannot",
    ),
    "is not ready": ("", "", "something is broken"),
    "cannot be imported": ("main", "import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
}


@pytest.mark.parametrize(("module", "text", "reason"), _BROKEN.values(), ids=_BROKEN)
def test_a_release_that_does_not_start_leaves_the_old_one_alone(
    guest: Place, module: str, text: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert guest.up()
    before = _pids(guest.home)
    if module:
        _new_release(guest, "probe_one", module, text)
    else:
        (guest.home.path / "broken").touch()
    assert cli.main(["restart", "one"]) == 1
    said = capfd.readouterr().out
    assert reason in said
    assert "one-worker: the new" not in said
    assert _pids(guest.home) == before
    assert guest.told("one-api")["CRM_ROLE"] == "api"


def test_a_restart_of_what_is_not_there_says_what_is(guest: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["restart"]) == 1
    assert "no suite runs" in capfd.readouterr().err
    assert guest.up()
    assert cli.main(["restart", "two"]) == 1
    assert "'two': there is one, gateway, one-api, one-worker, gateway-api" in capfd.readouterr().err


def test_a_second_up_from_the_same_home_is_refused_and_disturbs_nothing(guest: Place) -> None:
    assert guest.up()
    before = guest.home.state()
    again = subprocess.run([sys.executable, "-c", _DRIVER], capture_output=True, text=True, check=False)
    assert again.returncode != 0
    assert "already runs" in again.stderr
    assert guest.home.state() == before


def test_up_takes_over_from_a_supervisor_that_was_killed(guest: Place) -> None:
    assert guest.up()
    state = guest.home.state()
    assert state is not None
    state.supervisor.signal(signal.SIGKILL)
    assert wait_until(lambda: not state.supervisor.alive(), 120)
    assert control.status(guest.home)["state"] == "abandoned"
    assert guest.up()
    assert control.status(guest.home)["state"] == "ready"
    assert not any(member.process.alive() for member in state.members.values())


def test_a_process_that_does_not_get_ready_is_the_reason_up_gives(
    guest: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    (guest.home.path / "broken").touch()
    assert not guest.up()
    said = capfd.readouterr().out
    assert "one-api is not ready" in said
    assert "503" in said
    report = control.status(guest.home)
    assert report["state"] == "failed"
    assert "one-api is not ready" in report["reason"]
    assert all(one["state"] == "dead" for one in report["services"])


def test_a_taken_gateway_port_is_the_reason_up_gives(guest: Place, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as squatter:
        squatter.bind((ports.LOOPBACK, int(os.environ["CRM_GATEWAY_PORT"])))
        squatter.listen()
        assert not guest.up()
    assert "CRM_GATEWAY_PORT" in capfd.readouterr().out


def test_a_server_that_does_not_answer_is_named_while_it_is_waited_for(
    place: Place, servers: Servers, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AMQP_URL", servers.amqp_url)
    with socket.socket() as nobody:
        nobody.bind((ports.LOOPBACK, 0))
        server = f"{ports.LOOPBACK}:{nobody.getsockname()[1]}"
        monkeypatch.setenv("DATABASE_URL", f"postgresql://operator:hidden@{server}/postgres")
        driver = f"from crm_local import databases; databases._SERVER_SECONDS = 1\n{_DRIVER}"
        assert not control.launch(place.home, [sys.executable, "-c", driver])
    said = capfd.readouterr().out
    refused = "the connection was refused: nothing listens there"
    assert f"waiting for PostgreSQL at {server}/postgres, for up to 1 s: {refused}" in said
    remedy = "start the server, or correct host and port in DATABASE_URL"
    assert f"crm: the database cannot be used: PostgreSQL at {server}/postgres: {refused}: {remedy}\n" in said
    assert "hidden" not in said


def test_a_broker_that_refuses_is_told_before_databases_are_made(
    place: Place, servers: Servers, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", servers.database_url)
    monkeypatch.setenv("AMQP_URL", as_user(servers.amqp_url, "nobody", "hidden"))
    assert not control.launch(place.home, [sys.executable, "-c", _DRIVER])
    said = capfd.readouterr().out
    reason = r"^crm: RabbitMQ cannot be used: AMQP_URL, .* was refused, .*: correct the user 'nobody' or its password$"
    assert re.search(reason, said, re.MULTILINE)
    assert "database " not in place.home.log("prepare").read_text()
    assert "hidden" not in said


def test_a_suite_that_is_being_stopped_says_so(guest: Place) -> None:
    assert guest.up()
    state = guest.home.state()
    assert state is not None
    # A process that does not end keeps the suite in that state for as long as the test looks at it.
    held = state.members["one-api"].process
    held.signal(signal.SIGSTOP)
    state.supervisor.signal(signal.SIGTERM)

    def phase() -> str | None:
        now = guest.home.state()
        return None if now is None else now.phase

    assert wait_until(lambda: phase() != "ready", 60)
    said = control.status(guest.home)["state"]
    held.signal(signal.SIGCONT)
    assert said == "stopping"
    assert wait_until(lambda: not state.supervisor.alive(), 60)


def test_servers_of_our_own_keep_their_data_from_one_up_to_the_next(place: Place) -> None:
    assert place.up()
    first = place.home.state()
    assert first is not None
    assert {name for name in first.members if not first.members[name].url} == {"postgres", "rabbitmq"}
    asyncio.run(_run_sql(place.database_url(), "insert into kept values ('still here')"))
    assert "postgres" in control.down(place.home)
    assert not any(member.process.alive() for member in first.members.values())
    assert place.up()
    assert asyncio.run(_run_sql(place.database_url(), "select word from kept")) == ["still here"]
    second = place.home.state()
    assert second is not None
    assert (second.database_url, second.amqp_url) == (first.database_url, first.amqp_url)


@pytest.mark.parametrize("server", ["postgres", "rabbitmq"])
def test_a_hung_server_of_our_own_is_started_again(place: Place, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_LIVENESS_SECONDS", "0.1")
    assert place.up()
    first = next(one for one in _members(place.home) if one.name == server).process
    for process in (first, *followers(first)):
        process.signal(signal.SIGSTOP)
    assert wait_until(_restarted(place.home, server, first.pid), 120)
    state = place.home.state()
    assert state is not None
    port = urlsplit({"postgres": state.database_url, "rabbitmq": state.amqp_url}[server]).port
    assert port is not None
    assert wait_until(lambda: ports.accepts(port), 120), "it answers again"
