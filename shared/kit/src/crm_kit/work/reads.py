"""How long reads may take: a request ends in time to say why, and slow work leaves connections to the rest."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError

from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.store.outages import ran_out_of_time
from crm_kit.store.seats import Seat
from crm_kit.store.shares import TooManyAtOnce
from crm_kit.work.link import Link

T = TypeVar("T")

READING_PART: Final = 0.8
"""The part of a hop after which reads end, so that the answer which says so is there before the caller gives up."""
WAITING_PART: Final = 0.2
"""What of a hop one may wait for one's turn and still be told that the work itself takes too long."""
QUICK_PART: Final = 0.05
"""The part of a hop after which a read counts as slow, whatever was expected of it."""
BUSY: Final = "The service is busy. Try again."


class Reads:
    """The time limits of one unit of work. A consumer or a timer has none."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._db = link.runtime.db
        self._hop: float = link.runtime.settings.hop_seconds
        self._holder = link.principal.id

    @asynccontextmanager
    async def bounded(self, advice: str) -> AsyncIterator[None]:
        """Reads whose time depends on what is asked for: when they take too long, 422 ``too-expensive`` with ``advice``, or
        429 when it was the caller's other requests that took the time. Of a consumer or a timer nothing is asked."""
        if self._link.is_unbounded:
            yield
            return
        try:
            async with asyncio.timeout(self._left()) as limit:
                yield
        except (TimeoutError, DBAPIError) as error:
            if not (limit.expired() or ran_out_of_time(error)):
                raise
            raise self.too_late(advice) from error

    def too_late(self, advice: str) -> DomainError:
        """What to tell of a read that is out of time: that it waited for the caller's other requests (429) or for everybody's
        (503), else that it takes too long (422)."""
        if self._link.is_connecting:
            return DomainError("unavailable", BUSY)
        if self._link.is_in_line or self._link.waited > self._hop * WAITING_PART:
            return TooManyAtOnce()
        return DomainError("too-expensive", f"The request would take longer than its deadline. {advice}")

    async def quickly(self, work: Callable[[], Awaitable[T]], advice: str) -> T:
        """The same of reads that mostly are quick. One that is not becomes slow work while it runs. Where all slow work that
        may be done at a time is being done, and connections are scarce, it is given up and done again in its turn."""
        if self._link.is_unbounded:
            return await work()
        seat = Seat(self._db, self._holder, self._hop * QUICK_PART)
        try:
            async with asyncio.timeout(self._left()) as limit:
                await self._link.connection()
                seat.watch(limit)
                return await work()
        except (TimeoutError, DBAPIError) as error:
            if not seat.given_up:
                if not (limit.expired() or ran_out_of_time(error)):
                    raise
                raise self.too_late(advice) from error
        finally:
            seat.leave()
        async with self.slowly(advice):
            return await work()

    @asynccontextmanager
    async def slowly(self, advice: str) -> AsyncIterator[None]:
        """The same of reads that no index bounds: a caller does one of them at a time, and all together leave half of the
        connections to the rest."""
        if self._link.is_unbounded:
            yield
            return
        await self._link.let_go()
        slow = self._db.slow
        await self._link.take(slow)
        try:
            async with self.bounded(advice):
                yield
        finally:
            slow.give(self._holder)

    def _left(self) -> float:
        """Seconds until a read has to end."""
        return max(self._hop * READING_PART - (clock.monotonic() - self._link.began), self._hop / 20)
