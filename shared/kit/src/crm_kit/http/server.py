"""Run an app under uvicorn, the same in every service."""

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.http.connections import Connection, Limits, limited
from crm_kit.process.handover import HANDOVER
from crm_kit.process.memory import HOUSEKEEPER
from crm_kit.signals import telemetry

IDLE_SECONDS: Final = 75
"""Longer than load balancers and the gateway keep an idle connection, so that they close it first."""

LOOK_SECONDS: Final = 0.05
LAST_WORD_SECONDS: Final = 1.0
"""Seconds for the request of the last accepted connection to arrive."""


class Waiting(uvicorn.Server):
    """A server that waits until it is told to end. uvicorn's own wakes up ten times a second to look whether it is."""

    _is_told = False
    _wake: Callable[[], object] | None = None

    @property
    def should_exit(self) -> bool:
        """Whether it was told to end, by a signal or by its owner."""
        return self._is_told

    @should_exit.setter
    def should_exit(self, is_told: bool) -> None:
        self._is_told = is_told
        if is_told and self._wake is not None:
            self._wake()

    async def main_loop(self) -> None:
        """Return when it is told to end."""
        told = asyncio.Event()
        # A handler of a signal, or another thread, may tell it.
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, told.set)
        await self.on_tick(0)
        if not self.should_exit:
            await told.wait()


class Server(Waiting):
    """A server that ends without failed requests (ADR 47).

    After SIGTERM it is not ready, but continues to answer for ``CRM_DRAIN_SECONDS``, once per connection. If
    another process holds its listening socket, it accepts nothing new, and ends when no connection is left. Then running requests
    are finished within ``CRM_FINISH_SECONDS``. ``beside`` is awaited meanwhile.
    """

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self.beside: list[Callable[[], Awaitable[None]]] = []

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, finish, and close."""
        HANDOVER.ending = True
        await asyncio.gather(self._drain(sockets), *(work() for work in self.beside))
        await super().shutdown(sockets)

    async def _drain(self, sockets: list[socket.socket] | None) -> None:
        for connection in self._connections():
            connection.dismiss()
        if sockets is not None:
            self._stop_accepting()
        await self._pass(self._drain_seconds, lambda: sockets is not None and not self.server_state.connections)
        self._stop_accepting()
        await self._pass(LAST_WORD_SECONDS, lambda: not any(one.unheard for one in self._connections()))

    async def _pass(self, seconds: float, is_over: Callable[[], bool]) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while not self.force_exit and not is_over() and (left := until - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110  # uvicorn signals no change
            await asyncio.sleep(min(left, LOOK_SECONDS))

    def _connections(self) -> list[Connection]:
        return [one for one in self.server_state.connections if isinstance(one, Connection)]

    def _stop_accepting(self) -> None:
        for server in self.servers:
            server.close()


def config_of(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """The uvicorn configuration of every api."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=limited(Limits.of(settings)),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        # Client addresses behind proxies are determined elsewhere, with the proxies from the settings.
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=settings.finish_seconds,
    )


def serve(
    app: Callable[[Any], ASGIApp], settings: Settings | None = None, prepared: uvicorn.Config | None = None
) -> None:
    """Serve until SIGTERM; blocks. There is one worker: replicas are separate processes. ``app`` gets the settings,
    and is not asked for an app where its configuration is prepared."""
    settings = settings or read(Settings)
    telemetry.set_up(settings)
    server = Server(prepared or config_of(app(settings), settings), drain_seconds=settings.drain_seconds)
    HOUSEKEEPER.settle()
    # After its shutdown, uvicorn raises the signal again, which would end the process before its last spans are
    # sent. Before uvicorn listens, the signal must still end the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    try:
        server.run(sockets=HANDOVER.sockets(settings))
    finally:
        telemetry.shut_down()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
