"""The time limits of reads. A request ends early enough to tell the reason, and slow reads leave connections to others."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError

from crm_contracts.sentences import said
from crm_kit import clock
from crm_kit.errors import DomainError
from crm_kit.store.outages import ran_out_of_time
from crm_kit.store.seats import Seat
from crm_kit.store.shares import TooManyAtOnce
from crm_kit.work.link import Link

T = TypeVar("T")

READING_PART: Final = 0.8
"""The part of a hop's time after which reads end, so that the caller gets the error before it gives up."""
WAITING_PART: Final = 0.2
"""The part of a hop's time that a caller may wait for its turn. A longer wait counts as the cause of a timeout."""
QUICK_PART: Final = 0.05
"""The part of a hop's time after which a read counts as slow."""
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
        """Limit the time of reads whose cost depends on the request.

        After the limit it raises the error that ``too_late`` returns, with ``advice``. Consumers and timers have no limit.
        """
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
        """Return the error of a read that ran out of time: 503 if it waited for a connection, 429 if it waited for the
        caller's other requests, otherwise 422 ``too-expensive`` with ``advice``."""
        if self._link.is_connecting:
            return DomainError("unavailable", BUSY)
        if self._link.is_in_line or self._link.waited > self._hop * WAITING_PART:
            return TooManyAtOnce()
        return DomainError(
            "too-expensive", said("The request would take longer than its deadline. {advice}", advice=advice)
        )

    async def quickly(self, work: Callable[[], Awaitable[T]], advice: str) -> T:
        """Limit the time of reads that are usually quick.

        A read that takes longer counts as slow work while it runs. If the limit of slow work is reached and connections are
        scarce, the read is abandoned and repeated by ``slowly``. Raises as ``bounded`` does.
        """
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
        """Limit the time and the number of reads that no index bounds.

        A caller runs one of them at a time, and all of them together use at most half of the connections. Raises as
        ``bounded`` does.
        """
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
        """Return the seconds until a read must end."""
        return max(self._hop * READING_PART - (clock.monotonic() - self._link.began), self._hop / 20)
