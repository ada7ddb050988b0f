"""How a server ends."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from crm_kit.clock import monotonic

PROGRAM = """
from fastapi import FastAPI
from crm_kit.signals import telemetry
from crm_kit.http.server import serve
telemetry.shut_down = lambda: print("shut down", flush=True)
{}
serve(lambda settings: FastAPI(on_startup=[lambda: print("started", flush=True)]))
"""
SLOW_START = """
import time
from crm_kit.http.server import Server
Server.run = lambda *_, **__: (print("started", flush=True), time.sleep(60))
"""
DRAINING = """
import asyncio
import fastapi
from crm_kit.process.handover import HANDOVER
from crm_kit.http.server import serve

async def slow() -> str:
    print("slow", flush=True)
    while not HANDOVER.ending:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    return "done"

def app(settings):
    app = fastapi.FastAPI(on_startup=[lambda: print("started", flush=True)])
    app.get("/slow")(slow)
    app.get("/ending")(lambda: HANDOVER.ending)
    return app

serve(app)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    until = monotonic() + seconds
    while not condition():
        if monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def told(port: int, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "CRM_SERVICE": "mini",
        "CRM_ROLE": "api",
        "CRM_INSTANCE": "test",
        "CRM_SECRET": "x" * 64,
        "CRM_BIND_HOST": "127.0.0.1",
        "CRM_PORT": str(port),
        "DATABASE_URL": "postgresql://nowhere/nothing",
        "AMQP_URL": "amqp://nowhere",
        **more,
    }


@pytest.mark.parametrize("before", ["", SLOW_START], ids=["serving", "not listening yet"])
def test_a_server_that_is_told_to_end_sends_what_it_has_and_ends(before: str) -> None:
    # Others hold its socket: so it has nobody to wait for.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(before)],
            env=told(0, CRM_LISTEN_FD=str(listener.fileno())),
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[listener.fileno()],
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "started\n"
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=120)
    assert (server.returncode, rest.splitlines()[-1]) == (0, "shut down")


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[str, bool]:
    """The answer's body, and whether it says that it is the connection's last."""
    connection.request("GET", path)
    return heard(connection)


def heard(connection: http.client.HTTPConnection) -> tuple[str, bool]:
    answer = connection.getresponse()
    return answer.read().decode(), answer.headers.get("Connection") == "close"


@contextmanager
def draining(
    port: int, **more: str
) -> Iterator[tuple["subprocess.Popen[str]", Callable[[], http.client.HTTPConnection]]]:
    """A server that answers, and how to connect to it."""
    server = subprocess.Popen(
        [sys.executable, "-c", DRAINING],
        env=told(port, **more),
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[int(more["CRM_LISTEN_FD"])] if "CRM_LISTEN_FD" in more else [],
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "started\n"

        def connect() -> http.client.HTTPConnection:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            assert wait_until(lambda: _connects(connection), 120)
            return connection

        yield server, connect
    finally:
        server.kill()
        server.communicate()


def _connects(connection: http.client.HTTPConnection) -> bool:
    with suppress(ConnectionRefusedError):
        connection.connect()
        return True
    return False


def ends(connection: http.client.HTTPConnection, server: "subprocess.Popen[str]", path: str = "/ending") -> None:
    """Ask until an answer says that the server is about to end."""
    server.send_signal(signal.SIGTERM)
    assert wait_until(lambda: ask(connection, path)[0] == "true", 120)


def test_a_server_drains_before_it_ends() -> None:
    with draining(free_port(), CRM_DRAIN_SECONDS="3600") as (server, connect):
        idle, busy, looking = connect(), connect(), connect()
        assert ask(idle, "/ending") == ("false", False)
        busy.request("GET", "/slow")
        assert server.stdout is not None
        assert server.stdout.readline() == "slow\n"
        ends(looking, server)
        # What was in hand is finished, who was there is told to go elsewhere, and who comes is answered all the same.
        assert heard(busy) == ('"done"', True)
        assert ask(idle, "/ending") == ("true", True)
        assert ask(connect(), "/ending") == ("true", True)
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0


def test_a_server_whose_socket_others_hold_ends_when_its_last_connection_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, passed = listener.getsockname()[1], {"CRM_LISTEN_FD": str(listener.fileno())}
        with draining(port, CRM_DRAIN_SECONDS="3600", **passed) as (server, connect):
            idle, looking = connect(), connect()
            assert ask(idle, "/ending") == ("false", False)
            ends(looking, server)
            late = connect()
            late.request("GET", "/ending")
            assert ask(idle, "/ending") == ("true", True)
            looking.close()
            assert server.wait(30) == 0
            # Nobody was refused: the next one finds it in the queue.
            with draining(port, **passed):
                assert heard(late) == ("false", False)
