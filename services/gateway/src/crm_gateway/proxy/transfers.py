"""Imports and files: without a limit of duration, but with a share for each caller and a minimum rate.

A body that is arriving holds an arrival slot. Only a complete body takes one of the few work slots of the service, so
that slow senders do not hold up others.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass

from crm_contracts.sentences import said
from crm_gateway.proxy.breaker import Bulkhead, Unavailable
from crm_gateway.settings import GatewaySettings
from crm_kit.errors import DomainError
from crm_kit.store.shares import Shares, TooManyAtOnce


class Pace:
    """The time limit of a transfer: the caller must move ``transfer_rate`` bytes per second on average.

    The caller starts with ``transfer_grace_seconds``, earns time by moving bytes, and can save up to ``idle_seconds``.
    """

    def __init__(self, settings: GatewaySettings, patience: asyncio.Timeout) -> None:
        self._settings, self._patience = settings, patience
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self.waits_for_caller = True
        """Whose fault it is when time is up."""
        self._allow(min(settings.transfer_grace_seconds, settings.idle_seconds))

    def moved(self, size: int) -> None:
        """Count bytes moved from or to the caller."""
        now = self._loop.time()
        self._allow(min(self._until - now + size / self._settings.transfer_rate, self._settings.idle_seconds))

    def wait_for_service(self) -> None:
        """Stop measuring the caller while the service works."""
        self.waits_for_caller = False
        self._allow(self._settings.transfer_work_seconds)

    def wait_for_caller(self) -> None:
        """Measure the caller again: the answer is ready."""
        self.waits_for_caller = True
        self._allow(self._settings.idle_seconds)

    def too_slow(self) -> DomainError:
        """Return the 408 for a caller that was too slow."""
        return DomainError(
            "request-timeout",
            said(
                "The transfer was slower than {rate:,} bytes a second; send it again over a better "
                "connection, or in smaller parts.",
                rate=self._settings.transfer_rate,
            ),
        )

    def _allow(self, seconds: float) -> None:
        # The time is over and the timeout is being delivered. Later bytes do not extend it.
        if not self._patience.expired():
            self._until = self._loop.time() + seconds
            self._patience.reschedule(self._until)


class Transfers:
    """The current transfers of one upstream."""

    def __init__(self, upstream: str, settings: GatewaySettings) -> None:
        self._upstream = upstream
        share = settings.transfer_share
        self._arriving = Bulkhead(upstream, settings.upload_slots, share)
        self._working = Shares(share, settings.transfer_slots, seconds=settings.idle_seconds, name="transfers")

    @property
    def taken(self) -> int:
        """The number of transfers, including those that are still arriving."""
        return self._arriving.taken + self._working.taken

    @asynccontextmanager
    async def one(self, caller: Hashable) -> AsyncIterator["Transfer"]:
        """Start a transfer. 429 if the caller has too many arriving bodies, 503 if all arrival slots are taken."""
        async with AsyncExitStack() as held:
            arriving = held.enter_context(ExitStack())
            arriving.enter_context(self._arriving.slot(caller))
            yield Transfer(self, caller, held, arriving)

    async def work(self, caller: Hashable) -> None:
        """Wait for a work slot."""
        try:
            await self._working.take(caller)
        except TooManyAtOnce:
            if self._working.held(caller):
                raise
            raise Unavailable(
                said("The {service} service is busy with others' transfers; try again.", service=self._upstream), 10
            ) from None

    def worked(self, caller: Hashable) -> None:
        """Return the work slot."""
        self._working.give(caller)


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer while it holds a slot."""

    transfers: Transfers
    caller: Hashable
    held: AsyncExitStack
    arriving: ExitStack

    async def admit(self) -> None:
        """Release the arrival slot of a complete body, and wait for a work slot."""
        self.arriving.close()
        await self.transfers.work(self.caller)
        self.held.callback(self.transfers.worked, self.caller)
