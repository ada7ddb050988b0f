"""How an api and a worker in one process end together."""

import os
import socket
import subprocess
import sys

import pytest

# The worker is the test's: it tells what is done to it. A signal comes, or the server fails, at the moment named.
PROGRAM = """
import asyncio, contextlib, os, signal, sys
from types import SimpleNamespace
from fastapi import FastAPI
from crm_kit.worker import combined
from crm_kit.configuration.settings import Settings

moment = sys.argv[1]

def now(reached):
    if reached == moment:
        os.kill(os.getpid(), signal.SIGTERM)

class Worker:
    def __init__(self, *_):
        self.stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def working(self, _):
        now("opening")
        await asyncio.sleep(0.3)
        print("works", flush=True)
        now("working")
        yield
        print("left", flush=True)

    async def watch(self):
        await self.stop.wait()
        return 0

    async def drain(self):
        self.stop.set()

    def unwell(self):
        return []

async def nothing():
    pass

async def start():
    now("starting")
    await asyncio.sleep(0.3)

async def fail(_):
    raise RuntimeError("the server failed")

combined.Worker = Worker
combined.working_runtime = lambda runtime: SimpleNamespace(db=SimpleNamespace(dispose=nothing))
combined.watched_pool = lambda *_: contextlib.nullcontext()
if moment == "failing":
    combined._Server.main_loop = fail

def app(settings):
    made = FastAPI(on_startup=[start])
    made.state.runtime = SimpleNamespace(checks=[])
    return made

sys.exit(combined.run_combined(app, SimpleNamespace(settings=Settings)))
"""


@pytest.mark.parametrize(
    ("moment", "code", "said"),
    [("starting", 0, []), ("opening", 0, ["works", "left"]), ("working", 0, ["works", "left"]), ("failing", 1, None)],
)
def test_both_end_whenever_the_signal_comes(moment: str, code: int, said: list[str] | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = {
            **os.environ,
            "CRM_SERVICE": "mini",
            "CRM_ROLE": "all",
            "CRM_INSTANCE": "test",
            "CRM_SECRET": "x" * 64,
            "DATABASE_URL": "postgresql://nowhere/nothing",
            "AMQP_URL": "amqp://nowhere",
            "CRM_LISTEN_FD": str(listener.fileno()),
        }
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, moment],
            env=told,
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == code, ended.stderr
    if said is None:
        assert "the server failed" in ended.stderr
    else:
        assert ended.stdout.splitlines() == said
