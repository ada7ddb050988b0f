"""Run an app under uvicorn, the same in every service."""

from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from crm_kit.settings import Settings


def serve(app: Callable[[Settings], FastAPI]) -> None:
    """Serve until SIGTERM; blocks. One worker: replicas are processes of their own."""
    settings = Settings()
    uvicorn.run(
        app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level=settings.log_level.lower(),
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=10,
    )
