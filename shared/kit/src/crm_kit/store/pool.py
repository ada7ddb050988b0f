"""The connections of one database that wait for use: it is known who waits for one, and what nothing uses is closed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn
from sqlalchemy.util.queue import Empty

from crm_kit import clock

IDLE_SECONDS: Final = 30.0
"""Seconds without use after which a connection is closed. PostgreSQL has a process for each, with caches of its own (ADR 65)."""
_USED_AT: Final = "crm_used_at"


class Pool(AsyncAdaptedQueuePool):
    """A pool that knows how many wait for a connection, and how many gave up.

    It closes a connection that nothing has used for ``idle_seconds``. The connection that was used last is given out first, so
    those that only a burst needed are not used again.
    """

    waiting = 0
    timeouts = 0
    idle_seconds = IDLE_SECONDS
    _look: asyncio.TimerHandle | None = None
    _closing: asyncio.Task[None] | None = None

    def dispose(self) -> None:
        """Close all connections that wait for use."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        super().dispose()

    def _do_get(self) -> ConnectionPoolEntry:
        self.waiting += 1
        try:
            return super()._do_get()
        except PoolTimeout:
            self.timeouts += 1
            raise
        finally:
            self.waiting -= 1

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = clock.monotonic()
        super()._do_return_conn(record)
        self._look_in(self.idle_seconds)

    def _look_in(self, seconds: float) -> None:
        if self._look is None:
            with suppress(RuntimeError):  # the garbage collector may return a connection after the end of the loop
                self._look = asyncio.get_running_loop().call_later(seconds, self._close_idle)

    def _close_idle(self) -> None:
        self._look, now = None, clock.monotonic()
        waiting = self._take_all()
        old = [one for one in waiting if now - one.info[_USED_AT] >= self.idle_seconds]
        kept = [one for one in waiting if one not in old]
        for one in reversed(kept):
            self._pool.put(one, False)
        for _ in old:
            # Now, because whoever asks for a connection meanwhile must not wait for the end of these.
            self._dec_overflow()
        if kept:
            self._look_in(self.idle_seconds - (now - kept[-1].info[_USED_AT]))
        if old:
            self._closing = asyncio.get_running_loop().create_task(_close(old), name="idle connections")

    def _take_all(self) -> list[ConnectionPoolEntry]:
        """The connections that wait for use, those used last first."""
        found: list[ConnectionPoolEntry] = []
        with suppress(Empty):
            while True:
                found.append(self._pool.get(False))
        return found


async def _close(connections: Sequence[ConnectionPoolEntry]) -> None:
    for one in connections:
        # The goodbye has a time limit, unlike that of ``close``: the server may be frozen.
        await greenlet_spawn(one.invalidate)
