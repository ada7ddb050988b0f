"""Controls a suite from outside: starts it in the background, reports its status, stops it."""

import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from crm_local import probes
from crm_local.processes import stop, wait_until
from crm_local.servers import docker
from crm_local.state import Home, Member, State

_STOP_SECONDS = 120
_SAY_SECONDS = 1


class NotReady(Exception):
    """The suite did not start. The text has the reason and the end of the relevant log."""


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, or a note that it does not exist."""
    if not log.exists():
        return f"({log} was not written)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or f"({log} is empty)"


def launch(home: Home, argv: list[str]) -> bool:
    """Run a supervisor in the background, and print its output as it comes until it is ready (True) or has ended (False)."""
    log = home.log("supervisor")
    # Append, so that the log can be truncated while it is written.
    log.unlink(missing_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )

    def is_decided() -> bool:
        state = home.state()
        return process.poll() is not None or (
            state is not None and state.supervisor.pid == process.pid and state.phase == "ready"
        )

    # No time limit here: each step of the supervisor has its own, and installing packages may take long.
    with log.open(errors="replace") as said:
        while not wait_until(is_decided, _SAY_SECONDS):
            print(said.read(), end="", flush=True)
        print(said.read(), end="", flush=True)
    return process.poll() is None


def clear_leftovers(home: Home) -> list[str]:
    """Stop the processes that a killed supervisor left running; returns the names."""
    state = home.state()
    if state is None:
        return []
    left = [member for member in state.members.values() if member.process.alive()]
    stop([member.process for member in left if member.url])
    # PostgreSQL stops on SIGTERM when the last client has left, and on SIGINT at once and cleanly.
    stop([member.process for member in left if member.name == "postgres"], signal.SIGINT)
    stop([member.process for member in left if member.name == "rabbitmq"])
    docker.stop(state.containers)
    home.forget()
    return [member.name for member in left]


def down(home: Home) -> list[str]:
    """Stop exactly what `up` started from this home; returns the names of what ran."""
    state = home.state()
    if state is None:
        return []
    running = [member.name for member in state.members.values() if member.process.alive()]
    if state.supervisor.alive():
        stop([state.supervisor], grace=_STOP_SECONDS)
    clear_leftovers(home)
    return running


def status(home: Home) -> dict[str, Any]:
    """The processes of this home as data: the output of `crm status --json`.

    `state` is stopped, starting, ready, stopping, degraded (a process is not ready), failed (`reason` says why the last
    `up` did not succeed) or abandoned (the supervisor was killed, but its processes run: `down` and `up` both stop them).
    """
    state = home.state()
    if state is None:
        # A restore also asks while nothing runs.
        return {
            "state": "stopped",
            "home": str(home.path),
            "instance": home.instance(),
            "services": [],
            "servers": [],
        }
    with ThreadPoolExecutor(8) as pool:
        members = list(pool.map(_look_at, state.members.values()))
    return {
        "state": _overall(state, members),
        "reason": state.reason,
        "home": str(home.path),
        "instance": state.instance,
        "supervisor_pid": state.supervisor.pid,
        "gateway_url": state.gateway_url,
        "database_url": state.database_url,
        "amqp_url": state.amqp_url,
        "amqp_management_url": state.amqp_management_url,
        "services": [member for member in members if member["url"]],
        "servers": [
            {"name": name, "how": how, "state": _server_state(name, members)} for name, how in state.how.items()
        ],
    }


def _look_at(member: Member) -> dict[str, Any]:
    alive = member.process.alive()
    ready, detail = probes.ready(member.url) if alive and member.url else (alive, "")
    return {
        "name": member.name,
        "state": "ready" if ready else "unready" if alive else "dead",
        "detail": "" if ready else detail,
        "url": member.url,
        "metrics_url": member.metrics_url,
        "pid": member.process.pid,
        "restarts": member.restarts,
        "log": member.log,
    }


def _overall(state: State, members: list[dict[str, Any]]) -> str:
    if not state.supervisor.alive():
        if any(member["state"] != "dead" for member in members):
            return "abandoned"
        return "failed" if state.phase == "failed" else "stopped"
    if state.phase in ("starting", "stopping"):
        return state.phase
    return "ready" if all(member["state"] == "ready" for member in members) else "degraded"


def _server_state(name: str, members: list[dict[str, Any]]) -> str:
    own = next((member for member in members if member["name"] == name), None)
    return own["state"] if own else "external"
