"""Run an app under uvicorn, the same in every service."""

import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from crm_kit import telemetry
from crm_kit.connections import Limits, limited
from crm_kit.environment import read
from crm_kit.memory import HOUSEKEEPER
from crm_kit.settings import Settings

IDLE_SECONDS: Final = 75
"""Longer than load balancers and the gateway keep an idle connection, so that they are the ones to close it."""


def serve(app: Callable[[Any], FastAPI], settings: Settings | None = None) -> None:
    """Serve until SIGTERM; blocks. One worker: replicas are processes of their own. ``app`` is given the settings."""
    settings = settings or read(Settings)
    telemetry.set_up(settings)
    served = app(settings)
    HOUSEKEEPER.settle()
    # Having shut down, uvicorn raises the signal again: by default that would end the process before its last spans were
    # sent. Before uvicorn listens it must end the process all the same.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit())
    try:
        uvicorn.run(
            served,
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
            # Who is behind a proxy is decided where it matters, against the proxies named in the settings.
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=10,
        )
    finally:
        telemetry.shut_down()
