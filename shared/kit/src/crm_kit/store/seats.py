"""What is expected to be quick and is not: it goes on among the slow work, or makes room."""

import asyncio
from uuid import UUID

from crm_kit.store.database import Database


class Seat:
    """A place among the slow work for what turns out to be slow while it runs; what gets none is given up."""

    __slots__ = ("_db", "_holder", "_limit", "_seconds", "_taken", "_timer", "given_up")

    def __init__(self, db: Database, holder: UUID, seconds: float) -> None:
        self._db, self._holder, self._seconds = db, holder, seconds
        self._taken = self.given_up = False
        self._limit: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, limit: asyncio.Timeout) -> None:
        """Look again when what runs is no longer quick; ``limit`` ends what is given up."""
        self._limit = limit
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def leave(self) -> None:
        """It is over."""
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
