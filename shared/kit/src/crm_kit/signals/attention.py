"""Whether somebody reads the metrics of this process. What only they show is measured for readers, and rarely without one."""

import asyncio
from contextlib import suppress
from typing import Final

from crm_kit.clock import monotonic

READER_SECONDS: Final = 120.0
"""Seconds after a reading in which another one is expected. Prometheus reads every 15 to 60 s."""
UNREAD_SECONDS: Final = 60.0
"""Seconds between measurements that nobody reads."""


class Attention:
    """Notes each reading, from any thread."""

    def __init__(self) -> None:
        self._is_sent = False
        self._read_at = float("-inf")
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def is_paid(self) -> bool:
        """Whether metrics are sent, or were read a short time ago."""
        return self._is_sent or monotonic() - self._read_at < READER_SECONDS

    def note_sender(self) -> None:
        """Metrics are sent for the life of this process."""
        self._is_sent = True

    def note(self) -> None:
        """Somebody reads now."""
        was_paid, self._read_at = self.is_paid, monotonic()
        for loop, woken in () if was_paid else tuple(self._waiting):
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(woken.set)

    async def pause(
        self, seconds: float, *, unread: float | None = UNREAD_SECONDS, woken: asyncio.Event | None = None
    ) -> None:
        """Wait ``seconds``; without a reader, wait for the first one, or ``unread`` seconds (None: without limit).

        ``woken`` ends the pause too, and is cleared.
        """
        woken = woken or asyncio.Event()
        waiting = asyncio.get_running_loop(), woken
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(seconds if self.is_paid else unread):
                await woken.wait()
        except TimeoutError:
            return
        finally:
            woken.clear()
            self._waiting.discard(waiting)


ATTENTION: Final = Attention()
"""The one of this process."""
