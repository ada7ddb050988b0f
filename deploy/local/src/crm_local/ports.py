"""Chooses loopback ports for processes without a configured port."""

import contextlib
import random
import socket

LOOPBACK = "127.0.0.1"

# Below Linux's ephemeral range (32768 and up): a stored port must be available at the next start, and no outgoing
# connection may use it in the meantime.
_LOWEST, _HIGHEST = 20_000, 31_999


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether the port is free. A port in TIME_WAIT counts as free, as for servers."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose(count: int, avoid: frozenset[int] = frozenset()) -> list[int]:
    """Distinct free loopback ports, none of `avoid`.

    All are bound until the last is chosen, so that two suites that choose at the same time rarely conflict.
    """
    chosen: list[int] = []
    with contextlib.ExitStack() as held:
        while len(chosen) < count:
            port = random.randint(_LOWEST, _HIGHEST)
            if port in avoid or port in chosen:
                continue
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            chosen.append(port)
    return chosen


def accepts(port: int, host: str = LOOPBACK, timeout: float = 1.0) -> bool:
    """Whether a connection to the port is accepted within `timeout` seconds."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True
