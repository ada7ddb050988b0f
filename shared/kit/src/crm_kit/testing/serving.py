"""An app behind a real HTTP server, in the test's own event loop."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from crm_kit.http.connections import Limits, limited


class Server(uvicorn.Server):
    """A server that leaves Ctrl+C to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def served(app: FastAPI, limits: Limits | None = None) -> AsyncIterator[str]:
    """Serve on a free loopback port and give its URL. The app's lifespan is the caller's: it may come and go per test."""
    config = uvicorn.Config(
        app,
        http=limited(limits or Limits()),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        # Longer than a client keeps a connection, or one could be closed under a request that has just been sent.
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
    # asyncio looks at the protocol before it switches Nagle's algorithm off, and `socket.create_server` names none. With it,
    # an answer waits up to 40 ms for the client to acknowledge its head.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener
