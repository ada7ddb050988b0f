"""Imports and files: of any duration, but each caller has a share, and moves on or is dropped.

A body that arrives takes a place among those that arrive; only when it is all here does it take one of the few slots in
which the service works. So who sends slowly keeps nobody else from anything.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass

from crm_gateway.proxy.breaker import Bulkhead, Unavailable
from crm_gateway.settings import GatewaySettings
from crm_kit.errors import DomainError
from crm_kit.store.shares import Shares, TooManyAtOnce


class Pace:
    """How long a transfer may still go on: its caller must move ``transfer_rate`` bytes a second on average.

    The caller begins with ``transfer_grace_seconds`` in hand, earns time with what moves, and saves up to ``idle_seconds``.
    """

    def __init__(self, settings: GatewaySettings, patience: asyncio.Timeout) -> None:
        self._settings, self._patience = settings, patience
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self.waits_for_caller = True
        """Whose fault it is when time is up."""
        self._allow(min(settings.transfer_grace_seconds, settings.idle_seconds))

    def moved(self, size: int) -> None:
        """So many bytes came from the caller or went there."""
        now = self._loop.time()
        self._allow(min(self._until - now + size / self._settings.transfer_rate, self._settings.idle_seconds))

    def wait_for_service(self) -> None:
        """Nothing moves while the service works: that is no fault of the caller's."""
        self.waits_for_caller = False
        self._allow(self._settings.transfer_work_seconds)

    def wait_for_caller(self) -> None:
        """The answer is there, for the caller to take."""
        self.waits_for_caller = True
        self._allow(self._settings.idle_seconds)

    def too_slow(self) -> DomainError:
        """408 for a caller who did not keep up."""
        return DomainError(
            "request-timeout",
            f"The transfer was slower than {self._settings.transfer_rate:,} bytes a second; send it again over a better"
            " connection, or in smaller parts.",
        )

    def _allow(self, seconds: float) -> None:
        # What moved after the last second is too late: the timeout is on its way already.
        if not self._patience.expired():
            self._until = self._loop.time() + seconds
            self._patience.reschedule(self._until)


class Transfers:
    """The transfers of one upstream that are under way."""

    def __init__(self, upstream: str, settings: GatewaySettings) -> None:
        self._upstream = upstream
        share = settings.transfer_share
        self._arriving = Bulkhead(upstream, settings.upload_slots, share)
        self._working = Shares(share, settings.transfer_slots, seconds=settings.idle_seconds, name="transfers")

    @property
    def taken(self) -> int:
        """How many there are, those that still arrive included."""
        return self._arriving.taken + self._working.taken

    @asynccontextmanager
    async def one(self, caller: Hashable) -> AsyncIterator["Transfer"]:
        """A transfer of the caller's. Raises 429 when the caller has too many bodies under way, 503 when everybody has."""
        async with AsyncExitStack() as held:
            arriving = held.enter_context(ExitStack())
            arriving.enter_context(self._arriving.slot(caller))
            yield Transfer(self, caller, held, arriving)

    async def work(self, caller: Hashable) -> None:
        """Wait for a slot in which the service works."""
        try:
            await self._working.take(caller)
        except TooManyAtOnce:
            if self._working.held(caller):
                raise
            raise Unavailable(f"The {self._upstream} service is busy with others' transfers; try again.", 10) from None

    def worked(self, caller: Hashable) -> None:
        """Give the slot back."""
        self._working.give(caller)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer, while it holds a place or a slot."""

    transfers: Transfers
    caller: Hashable
    held: AsyncExitStack
    arriving: ExitStack

    async def admit(self) -> None:
        """The body is here: let go of its place, and wait for a slot."""
        self.arriving.close()
        await self.transfers.work(self.caller)
        self.held.callback(self.transfers.worked, self.caller)
