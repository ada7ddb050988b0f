"""Handles stored events again when they are due, and releases events whose predecessors are done."""

import asyncio
from collections.abc import Sequence
from enum import Enum
from functools import partial
from random import uniform

import structlog

from crm_contracts.envelope import EnvelopeError, parse_type, source_of
from crm_kit.events import deferred, inbox
from crm_kit.events.consumers import Group
from crm_kit.events.deferred import ENDED, LAST_ATTEMPT, Claimed
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.inbox import EventKey
from crm_kit.events.persisting import backoff, persist
from crm_kit.events.received import Message, describe
from crm_kit.store.pace import Pace

log = structlog.get_logger(__name__)

BATCH = 100
"""The most stored events of one group that one attempt handles."""
POLL_SECONDS = 1.0


class Stored(Enum):
    """What a look at the stored events found."""

    NOTHING = "nothing"
    NOT_DUE = "events that wait for their time or their turn"
    DUE = "events that were due; there may be more"


class Retries:
    """Handles the stored events of some groups of one service until it is stopped."""

    def __init__(self, dispatcher: Dispatcher, own: Sequence[Group]) -> None:
        self._dispatcher, self.own = dispatcher, own
        self._runtime = dispatcher.runtime
        self.behind: set[str] = set()
        """Groups that failed. Their events are stored for the retries until the retries have caught up."""
        self._stopping = False
        self._pace = Pace(self._runtime.notifier, inbox.CHANNEL, POLL_SECONDS)

    def stop(self) -> None:
        """Return from ``run`` after the current batch."""
        self._stopping = True
        self._pace.wake()

    def wake(self) -> None:
        """Look for due events now, in this and every other process of the service."""
        self._pace.wake()
        self._runtime.notifier.notify(inbox.CHANNEL)

    async def run(self) -> None:
        """Handle stored events when they are due, and release events whose predecessors are done, until stopped."""
        failures = 0
        while not self._stopping:
            try:
                found = await persist(self._runtime, self._look)
            except Exception:
                log.exception("intake.retries_failed")
                await asyncio.sleep(backoff(failures))
                failures += 1
                continue
            failures = 0
            if found is not Stored.DUE:
                await self._pace.rest(found=found is Stored.NOT_DUE)

    async def _look(self) -> Stored:
        """Handle what is due. Returns what was found."""
        if not await self._any_stored():
            self.behind.clear()
            return Stored.NOTHING
        if await self.retry_due():
            return Stored.DUE
        await self._dispatcher.start_late(self.own)
        return Stored.DUE if await self._dispatcher.release(self.own) else Stored.NOT_DUE

    async def _any_stored(self) -> bool:
        async with self._runtime.db.glance() as conn:
            return await deferred.any_stored(conn, [group.name for group in self.own])

    async def retry_due(self) -> int:
        """Try one batch of due events of each group; returns the number of events."""
        async with self._runtime.db.autocommit() as conn:
            due = await deferred.due_groups(conn, [group.name for group in self.own])
        self.behind.intersection_update(due)
        return sum([await self._retry(group) for group in self.own if group.name in due])

    async def _retry(self, group: Group) -> int:
        """Try a batch together, then one suspect alone, so that it cannot spoil the attempts of others."""
        claimed = await self._claim(group, BATCH, suspects=False)
        await self._again(group, claimed)
        suspect = await self._claim(group, 1, suspects=True)
        await self._again(group, suspect)
        return len(claimed) + len(suspect)

    async def _claim(self, group: Group, limit: int, *, suspects: bool) -> list[Claimed]:
        async with self._runtime.db.begin() as conn:
            return await deferred.claim_due(conn, group.name, limit, uniform(0.9, 1.1), suspects=suspects)

    async def _again(self, group: Group, claimed: Sequence[Claimed]) -> None:
        """Try stored events again. An event that cannot be updated stays stored as it was, with its attempt counted."""
        messages: list[Message] = []
        given_up: dict[EventKey, str] = {}
        for one in claimed:
            message = _readable(one)
            if isinstance(message, str):
                given_up[one.key] = message
            else:
                messages.append(message)
        if given_up:
            await persist(self._runtime, partial(self._give_up, given_up))
        try:
            await persist(self._runtime, partial(self._dispatcher.settle, messages, [group]))
        except Exception as error:  # noqa: BLE001  # other groups have due events, too
            log.error("inbox.unstorable", group=group.name, messages=len(messages), error=describe(error))

    async def _give_up(self, errors: dict[EventKey, str]) -> None:
        async with self._runtime.db.begin() as conn:
            await deferred.park(conn, errors)


def _readable(claimed: Claimed) -> Message | str:
    """Return the stored event, or the reason why another attempt is useless."""
    if claimed.attempts > LAST_ATTEMPT:
        return ENDED
    try:
        message = Message.read(claimed.body, claimed.attempts)
    except EnvelopeError as error:
        return describe(error)
    # For an event that was parked undecoded, only the headers were checked.
    if claimed.key.source == message.envelope.source == source_of(parse_type(message.envelope.type).service):
        return message
    return "refused: its body says that it is another service's than its headers say"
