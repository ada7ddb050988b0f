"""How often a loop looks for rows: at once when it is notified, soon after there was something, rarely while there is nothing.

Whoever writes a row that a loop waits for notifies the loop's channel. The looks in between are for what no notification
tells: a row becomes due, somebody changed a row by hand, or a connection is dead and nobody knows it yet.
"""

import asyncio
from typing import Final

from crm_kit.backoff import seconds_after
from crm_kit.store.notify import Notifier

RARELY: Final = 10.0
"""Seconds between the looks of a loop that finds nothing. A lost notification delays its row by this at most."""


class Pace:
    """The pauses of one loop. Without a notifier, or while that is not connected, all of them are short."""

    def __init__(self, notifier: Notifier | None, channel: str, shortest: float) -> None:
        self._notifier, self._shortest = notifier, shortest
        self._idle = 0
        self._woken = asyncio.Event()
        if notifier is not None:
            notifier.listen(channel, lambda _: self.wake())

    def wake(self) -> None:
        """End the pause of now, or else the next one before it begins."""
        self._woken.set()

    async def rest(self, *, found: bool = False, at_most: float = RARELY) -> bool:
        """Pause, after a look that found something, or nothing; returns whether ``wake`` ended the pause."""
        # Not ``wait_for``: before Python 3.12 it swallows a cancellation that meets the wake-up, and stopping never ends.
        try:
            async with asyncio.timeout(min(self._next(found), at_most)):
                await self._woken.wait()
        except TimeoutError:
            return False
        finally:
            self._woken.clear()
        self._idle = 0
        return True

    def _next(self, found: bool) -> float:
        is_told = self._notifier is not None and self._notifier.is_listening
        if found or not is_told:
            self._idle = 0
            return self._shortest
        self._idle += 1
        return seconds_after(self._idle - 1, self._shortest, RARELY)
