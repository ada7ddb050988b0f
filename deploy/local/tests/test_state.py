"""The stored data of a home, and the choice of ports."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from crm_local import cli, control, ports, rolling
from crm_local.deployment import Deployment
from crm_local.processes import ProcessRef
from crm_local.state import Home, HomeInUse, Kept, Member, State
from crm_local.suite import Backends, Suite, gateway_port

_BACKENDS = Backends("postgresql://u:p@db:5432/postgres", "amqp://u:p@mq:5672/one", "http://u:p@mq:15672")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("CRM_INSTANCE", "CRM_ADMIN_EMAIL", "CRM_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    home = Home(tmp_path / "home")
    home.make()
    return home


def test_secrets_are_made_once_and_only_their_owner_reads_them(home: Home) -> None:
    first = home.kept()
    assert home.kept() == first
    assert stat.S_IMODE((home.path / "kept.json").stat().st_mode) == 0o600
    assert len(first.secret) >= 48


def test_two_homes_share_neither_instance_nor_secret(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.make()
    assert home.kept().instance != other.kept().instance
    assert home.kept().secret != other.kept().secret


def test_the_administrator_of_the_environment_goes_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_ADMIN_EMAIL", "boss@bank.com")
    monkeypatch.setenv("CRM_ADMIN_PASSWORD", "a long password")
    assert (home.kept().admin_email, home.kept().admin_password) == ("boss@bank.com", "a long password")


def test_ports_are_chosen_once_and_changed_only_when_somebody_took_them(home: Home) -> None:
    kept = home.kept()
    names = ["sales-api", "sales-worker"]
    first = home.assign_ports(kept, names)
    assert len(set(first)) == 2
    assert home.assign_ports(home.kept(), names) == first
    with socket.socket() as squatter:
        squatter.bind((ports.LOOPBACK, first[0]))
        squatter.listen()
        second = home.assign_ports(home.kept(), names)
    assert second[0] != first[0]
    assert second[1] == first[1]


def test_chosen_ports_are_distinct_and_lie_below_those_of_outgoing_connections() -> None:
    chosen = ports.choose(50)
    assert len(set(chosen)) == 50
    assert all(1024 < port < 32768 for port in chosen)


def test_a_home_runs_one_suite_at_a_time_and_is_free_when_that_was_killed(home: Home) -> None:
    holding = "import sys; from crm_local.state import *; l = Home(Path(sys.argv[1])).lock(); print(); input()"
    other = subprocess.Popen(
        [sys.executable, "-c", holding, str(home.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(HomeInUse, match=str(home.path)):
        home.lock()
    other.kill()
    other.communicate()
    home.lock().close()


def _state(home: Home, process: ProcessRef, supervisor: ProcessRef) -> State:
    state = State(supervisor, "liaison_x", "http://127.0.0.1:8000", phase="ready")
    state.members["sales-api"] = Member("sales-api", process, "http://127.0.0.1:1", str(home.log("sales-api")))
    home.write(state)
    return state


def test_state_is_read_as_it_was_written(home: Home) -> None:
    me = ProcessRef.of(os.getpid())
    assert home.state() is None
    written = _state(home, me, me)
    assert home.state() == written


def test_down_stops_what_a_killed_supervisor_left_and_nothing_else(home: Home) -> None:
    ours, stranger = (subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    try:
        gone = ProcessRef(stranger.pid, "an earlier process")
        _state(home, ProcessRef.of(ours.pid), gone)
        assert control.status(home)["state"] == "abandoned"
        assert control.down(home) == ["sales-api"]
        assert ours.wait(5) is not None
        assert stranger.poll() is None
        assert home.state() is None
        assert control.down(home) == []
    finally:
        for process in (ours, stranger):
            process.kill()
            process.communicate()


def test_status_of_a_home_that_never_ran_is_stopped(tmp_path: Path) -> None:
    report = control.status(Home(tmp_path / "nowhere"))
    assert (report["state"], report["instance"]) == ("stopped", None)


def test_a_stopped_home_tells_its_instance(home: Home) -> None:
    report = control.status(home)
    assert (report["state"], report["instance"]) == ("stopped", None), "nothing is kept before the first up"
    kept = home.kept()
    assert control.status(home)["instance"] == kept.instance


def test_each_process_is_told_what_is_its_own_and_only_identity_the_password(home: Home) -> None:
    suite = Suite(home.kept(), operator_secret=home.operator_secret())
    home.assign_ports(suite.kept, suite.assigned_ports())
    deployment = Deployment.of_home(home, suite.kept.instance, _BACKENDS).with_roles(True)
    told = {
        name: suite.environment(service, role, deployment.own_database(service), deployment.own_broker(service))
        for name, service, role in suite.members()
    }
    sales = deployment.password_of("sales")
    assert told["sales-api"]["DATABASE_URL"] == (
        f"postgresql://{suite.kept.instance}_crm_sales:{sales}@db:5432/{suite.kept.instance}_crm_sales"
    )
    assert told["sales-api"]["AMQP_URL"] == f"amqp://one.sales:{sales}@mq:5672/one"
    assert {name for name, env in told.items() if sales in str(env)} == {"sales-api", "sales-worker"}
    assert {name for name, env in told.items() if env["CRM_ADMIN_PASSWORD"]} == {"identity-api", "identity-worker"}
    assert {name for name, env in told.items() if suite.kept.secret in str(env)} == {"identity-api", "identity-worker"}
    assert len({env["CRM_SECRET"] for env in told.values()}) == len(told) / 2
    assert not [name for name, env in told.items() if suite.operator_secret in str(env)]
    assert {name for name, env in told.items() if "CRM_UPSTREAMS" in env} == {"gateway-api", "gateway-worker"}
    assert f"sales=http://127.0.0.1:{suite.kept.ports['sales-api']}" in told["gateway-api"]["CRM_UPSTREAMS"].split(",")
    assert len({env["CRM_PORT"] for env in told.values()}) == len(told)


def test_the_operators_secret_is_kept_and_only_its_owner_reads_it(home: Home) -> None:
    secret = home.operator_secret()
    assert len(secret) >= 48
    assert home.operator_secret() == secret
    assert stat.S_IMODE((home.path / "operator-secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "80 "])
def test_a_gateway_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("CRM_GATEWAY_PORT", port)
    with pytest.raises(ValueError, match="CRM_GATEWAY_PORT"):
        gateway_port()


def test_a_kept_home_keeps_its_instance_when_it_is_moved(home: Home, tmp_path: Path) -> None:
    before: Kept = home.kept()
    moved = Home(home.path.rename(tmp_path / "moved"))
    assert moved.kept().instance == before.instance


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "CRM_HOME": str(tmp_path / "nowhere")}
    command = [sys.executable, "-m", "crm_local", "status"]
    done = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("given", ["", "a long password"])
def test_only_a_password_that_nobody_knows_is_shown(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRM_HOME", str(tmp_path / "new"))
    monkeypatch.setenv("CRM_ADMIN_PASSWORD", given)
    monkeypatch.setattr(control, "launch", lambda *_: True)
    assert cli.main(["up", "--detach"]) == 0
    printed, kept = capsys.readouterr().out, Home(tmp_path / "new").kept()
    assert kept.admin_email in printed
    assert (kept.admin_password in printed) is not bool(given)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DATABASE_URL", "mysql://root@db/crm"), ("AMQP_URL", "http://mq/"), ("CRM_GATEWAY_PORT", "none")],
)
def test_a_home_keeps_nothing_of_an_up_that_cannot_use_what_it_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv("CRM_HOME", str(home.path))
    monkeypatch.setenv(variable, value)
    assert cli.main(["up"]) == 1
    told = capsys.readouterr()
    assert variable in told.err
    assert told.out == "", "no password that nobody will need"
    assert home.is_new()


def test_a_name_that_nothing_has_is_told_with_each_there_is_once() -> None:
    with pytest.raises(ValueError, match=r"no process or service 'sale': there is sales, identity$"):
        rolling.chosen(["sales", "identity"], ["sale"])


def test_compiled_code_is_kept_where_none_may_lie_beside_the_sources() -> None:
    crm = Path(__file__).parents[3] / "crm"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
    subprocess.run(
        [sys.executable, crm, "--help"],
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    kept = list((crm.parent / ".venv" / "bytecode").rglob("crm_local/cli.*.pyc"))
    assert [path.stat().st_size > 0 for path in kept] == [True]
