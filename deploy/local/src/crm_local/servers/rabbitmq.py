"""RabbitMQ as our own instance, from programs on this machine."""

import base64
import http.client
import json
import os
import secrets
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from crm_kit.network.amqp_urls import parameters_of, tls
from crm_local.accounts import Account, own_directory, write_private
from crm_local.ports import LOOPBACK, accepts
from crm_local.processes import Command
from crm_local.servers.found import Instance
from crm_local.state import CHECKOUT

USER = "liaison"

# Debian's /usr/sbin/rabbitmq-server uses the system's node and log files. These are the scripts that it calls.
_SCRIPTS = (
    "usr/lib/rabbitmq/bin",
    "opt/rabbitmq/sbin",
    "opt/homebrew/opt/rabbitmq/sbin",
    "usr/local/opt/rabbitmq/sbin",
)

# The machine runs this beside everything else. A broker that takes 40 % of its memory would displace the rest.
_CONFIG = """\
listeners.tcp.local = {host}:{port}
management.tcp.ip = {host}
management.tcp.port = {management_port}
default_user = {user}
default_pass = {password}
vm_memory_high_watermark.absolute = {memory}
disk_free_limit.absolute = 200MB
raft.wal_max_size_bytes = {wal}
collect_statistics_interval = {statistics}
"""
_SIZES = {"memory": "1GiB", "wal": 64_000_000, "statistics": 10_000}
# The entries of the log that is being written to lie in memory, too.
_SIZES_SMALL = {"memory": "256MiB", "wal": 8_000_000, "statistics": 30_000}
_NO_SPINNING = "+sbwt none +sbwtdcpu none +sbwtdio none"
_ERLANG = f"+S 2:2 +A 16 {_NO_SPINNING}"
# One scheduler, fewer threads for files, and no reserve of freed memory (the scripts of RabbitMQ ask for 30 blocks).
_ERLANG_SMALL = f"+S 1:1 +A 4 +MMmcs 0 {_NO_SPINNING}"
_LOGGING = CHECKOUT / "deploy" / "rabbitmq" / "advanced.config"


@dataclass(frozen=True)
class Ports:
    """The loopback ports of a node: AMQP, management HTTP API, node distribution, port mapper."""

    amqp: int
    management: int
    distribution: int
    mapper: int


def binaries() -> Path | None:
    """Return the directory of the local `rabbitmq-server` script, or None."""
    versioned = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"), reverse=True)
    candidates = [*(Path("/") / path for path in _SCRIPTS), *versioned]
    if shutil.which("erl") is None:
        return None
    return next((path for path in candidates if os.access(path / "rabbitmq-server", os.X_OK)), None)


def prepare(
    bindir: Path,
    directory: Path,
    account: Account | None,
    *,
    name: str,
    ports: Ports,
    password: str | None,
    log: Path,
    small: bool = False,
) -> Instance:
    """Set up a node in `directory`, or use the existing one. It listens on loopback ports only.

    It has its own port mapper (epmd), so the system's is neither needed nor started. `name` is the name of the node. An
    existing node must keep its name and password.
    """
    password = password or secrets.token_urlsafe(24)
    own_directory(directory, account)
    values = {"host": LOOPBACK, "port": ports.amqp, "management_port": ports.management, "user": USER}
    sizes = _SIZES_SMALL if small else _SIZES
    write_private(directory / "rabbitmq.conf", _CONFIG.format(**sizes, **values, password=password), account)
    write_private(directory / "advanced.config", _LOGGING.read_text(), account)
    write_private(directory / "enabled_plugins", "[rabbitmq_management].\n", account)
    cookie = directory / ".erlang.cookie"
    if not cookie.exists():
        write_private(cookie, secrets.token_hex(20), account).chmod(0o400)
    interface, erlang = "{127,0,0,1}", _ERLANG_SMALL if small else _ERLANG
    env = {
        "HOME": str(directory),
        "RABBITMQ_NODENAME": f"{name}@localhost",
        "RABBITMQ_BASE": str(directory),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        # Empty: advanced.config configures logging. A node that crashes writes no dump of its memory, which would
        # contain events.
        "RABBITMQ_LOGS": "",
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_PID_FILE": str(directory / "node.pid"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
        "RABBITMQ_SCHEMA_DIR": str(directory / "schema"),
        # The settings of the machine's own broker in /etc/rabbitmq do not apply to this node.
        "RABBITMQ_CONF_ENV_FILE": str(directory / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(directory / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-kernel inet_dist_use_interface {interface} {erlang}",
        "ERL_EPMD_PORT": str(ports.mapper),
        "ERL_EPMD_ADDRESS": LOOPBACK,
    }
    write_private(directory / "rabbitmq-env.conf", "", account)
    management_url = f"http://{USER}:{password}@{LOOPBACK}:{ports.management}"
    command = Command(
        name="rabbitmq",
        # A node on its own starts the port mapper as a daemon that outlives it. In this session it ends with the node.
        argv=("/bin/sh", "-c", f"{_port_mapper()} -port {ports.mapper} & exec {bindir}/rabbitmq-server"),
        log=log,
        cwd=directory,
        env=env,
        account=account,
    )
    return Instance(
        command=command,
        url=f"amqp://{USER}:{password}@{LOOPBACK}:{ports.amqp}/%2F",
        how=f"own node of RabbitMQ ({bindir}), data in {directory}",
        ready=lambda: accepts(ports.amqp) and answers(management_url),
        finish=lambda: enable_stable_features(management_url),
        management_url=management_url,
    )


def _port_mapper() -> str:
    found = shutil.which("epmd") or next(map(str, Path("/usr/lib/erlang").glob("erts-*/bin/epmd")), None)
    if found is None:
        raise RuntimeError("RabbitMQ's scripts are here but Erlang's port mapper (epmd) is not: reinstall erlang-base")
    return found


def answers(management_url: str) -> bool:
    """Whether the node behind a management API has started: its applications run and no alarm blocks publishers."""
    try:
        return bool(call(management_url, "GET", "/api/health/checks/local-alarms")["status"] == "ok")
    except (OSError, http.client.HTTPException):
        return False


def refusal(management_url: str) -> str:
    """Why a node does not answer, for an operator."""
    try:
        return f"its health is {call(management_url, 'GET', '/api/health/checks/local-alarms')['status']}"
    except urllib.error.HTTPError as error:
        return (
            "the log-in was refused: correct user and password" if error.code == HTTPStatus.UNAUTHORIZED else str(error)
        )
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


def enable_stable_features(management_url: str) -> None:
    """Enable every stable feature flag, such as `stream_queue`. An upgraded node does not do so by itself."""
    for flag in call(management_url, "GET", "/api/feature-flags"):
        if flag["state"] == "disabled" and flag["stability"] == "stable":
            call(management_url, "PUT", f"/api/feature-flags/{quote(flag['name'])}/enable", {"name": flag["name"]})


def call(management_url: str, method: str, path: str, body: object = None) -> Any:
    """Call the management HTTP API with the credentials in its URL. Raises urllib.error.URLError."""
    parts = urlsplit(management_url)
    port = parts.port or (15671 if parts.scheme == "https" else 15672)
    address = f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}{path}"
    request = urllib.request.Request(address, method=method)  # noqa: S310 - the operator's own URL
    token = base64.b64encode(f"{parts.username or 'guest'}:{parts.password or 'guest'}".encode()).decode()
    request.add_header("Authorization", f"Basic {token}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    # Without a proxy: a web proxy cannot reach the API of a local broker.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if parts.scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=tls(parameters_of(parts.query))))
    opener = urllib.request.build_opener(*handlers)
    with opener.open(request, timeout=10) as answer:
        content = answer.read()
    return json.loads(content) if content else None
