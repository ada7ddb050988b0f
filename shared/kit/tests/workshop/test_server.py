"""How a server ends."""

import os
import signal
import socket
import subprocess
import sys

from crm_kit.clock import monotonic

PROGRAM = """
from fastapi import FastAPI
from crm_kit.server import serve
serve(lambda settings: FastAPI(on_startup=[lambda: print("started", flush=True)]))
print("shut down")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_server_that_is_told_to_end_does_what_comes_after() -> None:
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
    server = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env={**os.environ, **told}, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "started\n"
    began = monotonic()
    server.send_signal(signal.SIGTERM)
    rest, _ = server.communicate(timeout=20)
    assert (server.returncode, rest.splitlines()[-1]) == (0, "shut down")
    assert monotonic() - began < 10
