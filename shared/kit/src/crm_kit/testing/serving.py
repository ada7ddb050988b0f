"""Serves an app with a real HTTP server, in the event loop of the test."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from crm_kit.http.connections import Limits, limited


class Server(uvicorn.Server):
    """A server that leaves Ctrl+C to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield


@asynccontextmanager
async def served(app: ASGIApp, limits: Limits | None = None) -> AsyncIterator[str]:
    """Serve on a free loopback port and yield its URL. The caller manages the app's lifespan, which may be that of a test."""
    config = uvicorn.Config(
        app,
        http=limited(limits or Limits()),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        # Longer than a client keeps a connection, so that none is closed while a request is on its way.
        timeout_keep_alive=60,
    )
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    with _listener() as listener:
        port = listener.getsockname()[1]
        await server.startup([listener])
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            await server.shutdown([listener])


def _listener() -> socket.socket:
    # asyncio switches Nagle's algorithm off only if the socket names its protocol, and `socket.create_server` does not name it.
    # With that algorithm, a response waits up to 40 ms for the client to acknowledge the head.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener
