"""The listening sockets of the suite, which the supervisor holds while it runs (ADR 47).

Each process inherits its own. While one process ends and another begins, nobody is refused: new connections
wait in the socket's queue.
"""

import socket

from crm_local.ports import LOOPBACK

BACKLOG = 2048
"""Length of the queue of connections, as in uvicorn."""


class Listeners:
    """One listening socket per process, by the process's name."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}

    def open(self, name: str, port: int) -> None:
        """Listen on a loopback port. Raises OSError if the port is in use."""
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
        """The file descriptor of the socket in the process of this name and in every fork."""
        return self._sockets[name].fileno()

    def keep_only(self, name: str) -> None:
        """In a forked process: close the sockets of other processes."""
        for other, listener in self._sockets.items():
            if other != name:
                listener.close()

    @property
    def descriptors(self) -> list[int]:
        """All of them."""
        return [listener.fileno() for listener in self._sockets.values()]

    def close(self) -> None:
        """Stop listening: connections are refused once the processes have ended too."""
        for listener in self._sockets.values():
            listener.close()
        self._sockets.clear()
