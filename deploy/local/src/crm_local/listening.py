"""The sockets on which the suite listens, held by the supervisor for as long as it runs (ADR 47).

Each process gets its own by inheritance. So nobody is refused while a process ends and another begins: who connects
meanwhile waits in the socket's queue.
"""

import socket

from crm_local.ports import LOOPBACK

BACKLOG = 2048
"""Connections that may wait, as in uvicorn."""


class Listeners:
    """One listening socket per process, by the process's name."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}

    def open(self, name: str, port: int) -> None:
        """Listen on a loopback port from now on. Raises OSError when somebody else does."""
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((LOOPBACK, port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self._sockets[name] = listener

    def descriptor(self, name: str) -> int:
        """The number by which the process of this name, and every fork, knows its socket."""
        return self._sockets[name].fileno()

    def keep_only(self, name: str) -> None:
        """In a forked process: close what is others' to accept."""
        for other, listener in self._sockets.items():
            if other != name:
                listener.close()

    @property
    def descriptors(self) -> list[int]:
        """All of them."""
        return [listener.fileno() for listener in self._sockets.values()]

    def close(self) -> None:
        """Listen no more: whoever connects is refused once the processes have ended, too."""
        for listener in self._sockets.values():
            listener.close()
        self._sockets.clear()
