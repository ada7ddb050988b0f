"""Runs an api and a worker in one process and one event loop, for small machines (`CRM_PROFILE=small`)."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.http.server import Server, config_of
from crm_kit.process.handover import HANDOVER
from crm_kit.process.memory import HOUSEKEEPER
from crm_kit.process.runtime import Runtime, working_runtime
from crm_kit.process.vitals import watched_pool
from crm_kit.signals import telemetry
from crm_kit.worker.running import Work, Worker


def run_combined(
    app: Callable[[Any], FastAPI], work: Work, settings: Settings | None = None, prepared: uvicorn.Config | None = None
) -> int:
    """Run api and worker until SIGTERM or until a loop dies; returns the exit code of the process.

    Settings are read unless given.
    """
    settings = settings or read(work.settings)
    telemetry.set_up(settings)
    served = app(settings)
    HOUSEKEEPER.settle()
    # Until the server handles the signals itself; see ``capture_signals``.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    try:
        return uvloop.run(_both(served, work, settings, prepared or config_of(served, settings)))
    finally:
        telemetry.shut_down()


async def _both(app: FastAPI, work: Work, settings: Settings, config: uvicorn.Config) -> int:
    server = _Server(config, drain_seconds=settings.drain_seconds)
    serving = asyncio.create_task(server.serve(HANDOVER.sockets(settings)), name="server")
    up = asyncio.create_task(server.up.wait(), name="up")
    await asyncio.wait([serving, up], return_when=asyncio.FIRST_COMPLETED)
    if not server.started or server.should_exit:
        # The server did not start, or was told to end meanwhile, so the worker does not start.
        up.cancel()
        await serving
        return 0 if server.started else STARTUP_FAILURE
    runtime: Runtime = app.state.runtime
    worker, apart = Worker(work, settings), working_runtime(runtime)
    runtime.checks.append(worker.unwell)
    # Before anything runs, because the server may be told to end at any moment.
    server.beside.append(worker.drain)
    try:
        with watched_pool("work", apart.db):
            async with worker.working(apart):
                watching = asyncio.create_task(worker.watch(), name="watch")
                await asyncio.wait([serving, watching], return_when=asyncio.FIRST_COMPLETED)
                server.should_exit = True
                await worker.drain()
                code = await watching
                # The server closes what both use, so the worker must have drained. Raises the server's error.
                await serving
    finally:
        await apart.db.dispose()
    return code


class _Server(Server):
    """Signals when it listens. It does not raise the signal again that ended it, because the worker must end, too."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.up = asyncio.Event()

    async def startup(self, *args: Any, **named: Any) -> None:
        """Open the app, listen, and set ``up``."""
        await super().startup(*args, **named)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT end the server."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
