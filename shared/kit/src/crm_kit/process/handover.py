"""Handover between processes: the inherited listening socket, the report of readiness, and the signal to end.

`crm up` holds the listening sockets and passes them to each process, so a connection that arrives while one process ends and the
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
"""Seconds between a successor's checks of its readiness."""

log = structlog.get_logger(__name__)


class Handover:
    """The handover state of this process."""

    def __init__(self) -> None:
        self.ending = False
        """True while the process drains: it answers requests, reports that it is not ready, and closes each connection after
        its answer."""

    def sockets(self, settings: Settings) -> list[socket.socket] | None:
        """The inherited listening socket (``CRM_LISTEN_FD``); None if the process has to open its own."""
        return None if settings.listen_fd is None else [socket.socket(fileno=settings.listen_fd)]

    async def until_ready(
        self,
        reasons: Callable[[], Awaitable[Sequence[str]]],
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """If a predecessor still serves (``CRM_READY_FD``): report readiness, and return when this process is ready.

        Until then it writes the reasons, a line at each change. Raises RuntimeError if nobody reads them any more.
        """
        if "CRM_READY_FD" not in os.environ:
            return
        ready_fd, told = int(os.environ["CRM_READY_FD"]), ""
        try:
            while not given_up():
                line = "; ".join(await reasons()) or "ready"
                # An empty line tests whether the pipe still has a reader.
                os.write(ready_fd, f"{line if line != told else ''}\n".encode())
                if (told := line) == "ready":
                    return
                await asyncio.sleep(LOOK_SECONDS)
        except BrokenPipeError:
            raise RuntimeError("nobody waits any more for this process to be ready") from None
        finally:
            os.close(ready_fd)


HANDOVER: Final = Handover()
"""The one of this process."""
