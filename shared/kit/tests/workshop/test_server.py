"""How a server ends."""

import os
import signal
import socket
import subprocess
import sys

import pytest

PROGRAM = """
from fastapi import FastAPI
from crm_kit import telemetry
from crm_kit.server import serve
telemetry.shut_down = lambda: print("shut down", flush=True)
{}
serve(lambda settings: FastAPI(on_startup=[lambda: print("started", flush=True)]))
"""
SLOW_START = """
import time
import uvicorn
uvicorn.run = lambda *_, **__: (print("started", flush=True), time.sleep(60))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("before", ["", SLOW_START], ids=["serving", "not listening yet"])
def test_a_server_that_is_told_to_end_sends_what_it_has_and_ends(before: str) -> None:
    told = {
        "CRM_SERVICE": "mini",
        "CRM_ROLE": "api",
        "CRM_INSTANCE": "test",
        "CRM_SECRET": "x" * 64,
        "CRM_BIND_HOST": "127.0.0.1",
        "CRM_PORT": str(free_port()),
        "DATABASE_URL": "postgresql://nowhere/nothing",
        "AMQP_URL": "amqp://nowhere",
    }
    program = [sys.executable, "-c", PROGRAM.format(before)]
    server = subprocess.Popen(program, env={**os.environ, **told}, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == "started\n"
    server.send_signal(signal.SIGTERM)
    rest, _ = server.communicate(timeout=10)
    assert (server.returncode, rest.splitlines()[-1]) == (0, "shut down")
