"""One process takes over from another: what it was given to listen on, when it says that it is ready, and that it is to end.

`crm up` holds the listening sockets and passes them to each process, so a connection that is made while one ends and the
next begins waits in the kernel's queue and is never refused (ADR 47).
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from crm_kit.configuration.settings import Settings

LOOK_SECONDS: Final = 0.1
"""How often a successor looks whether it is ready."""

log = structlog.get_logger(__name__)


class Handover:
    """What this process has of its predecessor, and leaves to its successor."""

    def __init__(self) -> None:
        self.ending = False
        """Answers what comes, says of itself that it is not ready, and asks each connection to go elsewhere."""

    def sockets(self, settings: Settings) -> list[socket.socket] | None:
        """The listening socket that was passed on (``CRM_LISTEN_FD``); None where the process has to open its own."""
        return None if settings.listen_fd is None else [socket.socket(fileno=settings.listen_fd)]

    async def until_ready(
        self,
        settings: Settings,
        reasons: Callable[[], Awaitable[Sequence[str]]],
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """Where a predecessor still serves (``CRM_READY_FD``): return when nothing speaks against taking over, and tell.

        Until then the reasons are told, a line each time they change. Raises RuntimeError when nobody listens any more.
        """
        if settings.ready_fd is None:
            return
        told = ""
        try:
            while not given_up():
                line = "; ".join(await reasons()) or "ready"
                # An empty line asks whether somebody still reads.
                os.write(settings.ready_fd, f"{line if line != told else ''}\n".encode())
                if (told := line) == "ready":
                    return
                await asyncio.sleep(LOOK_SECONDS)
        except BrokenPipeError:
            raise RuntimeError("nobody waits any more for this process to be ready") from None
        finally:
            os.close(settings.ready_fd)


HANDOVER: Final = Handover()
"""The one of this process."""
