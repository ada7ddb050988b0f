"""Handles reads that turn out to be slow: they take a place among the slow work, or are aborted."""

import asyncio
from uuid import UUID

from crm_kit.store.database import Database


class Seat:
    """A place among the slow work for a read that turns out to be slow. Without a place, the read is aborted."""

    __slots__ = ("_db", "_holder", "_limit", "_seconds", "_taken", "_timer", "given_up")

    def __init__(self, db: Database, holder: UUID, seconds: float) -> None:
        self._db, self._holder, self._seconds = db, holder, seconds
        self._taken = self.given_up = False
        self._limit: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, limit: asyncio.Timeout) -> None:
        """Check again when the read is no longer quick; ``limit`` aborts it."""
        self._limit = limit
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def leave(self) -> None:
        """End the watch."""
        if self._timer is not None:
            self._timer.cancel()
        if self._taken:
            self._db.slow.give(self._holder)

    def _look(self) -> None:
        assert self._limit is not None
        self._taken = self._db.slow.take_if_free(self._holder)
        if self._taken or self._limit.expired():
            return
        if self._db.scarce:
            self.given_up = True
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self.watch(self._limit)
