"""Rebuilds a projection from its publisher's records, in place and while all services run.

Each page is a transaction of the follower. It reads the next records, projects them like snapshots, and stores the progress. A
copy that is newer stays unchanged. At the end, copies whose records the publisher does not have are marked as deleted. Readers
therefore see either the old or the new state of a record, and nobody waits for long. A second run, also at the same time,
continues where the first one is.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import uniform
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Entity
from crm_kit import clock
from crm_kit.events import epochs, inbox, own_rows
from crm_kit.events.consumers import Group
from crm_kit.events.dispatch import BUSY_ATTEMPTS, Dispatcher
from crm_kit.events.handling import HandlerFailed
from crm_kit.events.received import Message, describe
from crm_kit.events.replay import snapshot_of
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling import gone, progress
from crm_kit.reconciling.journal import Mended, mend
from crm_kit.reconciling.parties import SMALLEST, Publisher, positions_after
from crm_kit.reconciling.progress import Progress
from crm_kit.store.outages import database_busy
from crm_kit.store.record import new_id

log = structlog.get_logger(__name__)

PAGE: Final = 200
"""The number of records of one transaction. Their positions are locked, so their events wait until it ends."""
SWEEP: Final = 1000
FAILED_SHOWN: Final = 20
SAY_SECONDS: Final = 2.0

Tell = Callable[[str], None]

_TAKEN_UP = "update inbox_bound set epoch = greatest(epoch, $3) where consumer = $1 and source = $2"


@dataclass(slots=True)
class Rebuilt:
    """The result of a rebuild of one group from one source, including earlier runs of it."""

    group: str
    source: str
    told: int = 0
    gone: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    journal: Mended | None = None


class Rebuild:
    """Rebuilds one group of one service from one publisher."""

    def __init__(
        self, follower: Runtime, dispatcher: Dispatcher, group: Group, publisher: Publisher, tell: Tell
    ) -> None:
        self._follower, self._dispatcher, self._group = follower, dispatcher, group
        self._publisher, self._tell = publisher, tell
        self._source = publisher.source
        self._name = f"{group.name} from {publisher.source}"
        self._correlation = str(new_id())
        self._epoch = 0
        self._failures: list[str] = []

    async def run(self, *, anew: bool = False) -> Rebuilt:
        """Continue or begin the rebuild, and complete it. ``anew`` restarts an unfinished one."""
        async with self._publisher.runtime.db.autocommit() as conn:
            self._epoch = (await epochs.current(conn)).number
        if self._group.journal is not None:
            mended = await mend(self._follower, self._dispatcher, self._group, self._publisher, self._epoch, self._tell)
            await self._take_up_epoch()
            return Rebuilt(self._group.name, self._source, gone=mended.removed, journal=mended)
        async with self._follower.db.begin() as conn:
            if self._group.keyless and self._epoch:
                await inbox.note_epochs(conn, {(self._group.name, self._source): self._epoch})
            begun = await progress.begin(conn, self._group.name, self._source, self._epoch, anew=anew)
        self._tell(f"{self._name}: {'begins' if begun else 'goes on'}")
        said = clock.monotonic()
        while not (state := await self._patiently()).finished:
            if clock.monotonic() - said >= SAY_SECONDS:
                said = clock.monotonic()
                self._tell(f"{self._name}: {self._part(state)}, {state.told} told, {state.gone} gone")
        await self._release()
        self._tell(f"{self._name}: done, {state.told} told, {state.gone} gone, {state.failed} failed")
        return Rebuilt(self._group.name, self._source, state.told, state.gone, state.failed, self._failures)

    def _part(self, state: Progress) -> str:
        entities = self._told_entities()
        return entities[state.part].name if state.part < len(entities) else "what is gone"

    def _told_entities(self) -> list[Entity]:
        wanted = self._group.snapshot_entities(self._source.rpartition("/")[2])
        return [entity for entity in self._publisher.entities if entity in wanted]

    async def _patiently(self) -> Progress:
        """Process a page, and repeat it while other transactions block it."""
        for attempt in range(1, BUSY_ATTEMPTS + 1):
            try:
                return await self._page()
            except Exception as error:
                if attempt == BUSY_ATTEMPTS or not database_busy(error):
                    raise
                await asyncio.sleep(uniform(0.05, 0.1) * attempt)
        raise AssertionError

    async def _page(self) -> Progress:
        async with self._follower.db.begin() as conn:
            state = await progress.lock(conn, self._group.name, self._source)
            if state.finished:
                return state
            entities = self._told_entities()
            if state.part < len(entities):
                await self._tell_page(conn, entities[state.part].name, state)
            else:
                await self._sweep_page(conn, state)
            await progress.note(conn, self._group.name, self._source, state)
            return state

    async def _tell_page(self, conn: AsyncConnection, entity: str, state: Progress) -> None:
        service = self._source.rpartition("/")[2]
        async with self._publisher.runtime.db.autocommit() as theirs:
            rows = await self._publisher.sources[entity](theirs, state.after, PAGE)
        if not rows:
            state.part, state.after = state.part + 1, SMALLEST
            return
        bodies = (snapshot_of(service, entity, row, self._epoch, self._correlation)[2] for row in rows)
        state.told += await self._apply(conn, [Message.read(body) for body in bodies], state)
        state.after = rows[-1].id

    async def _apply(self, conn: AsyncConnection, messages: Sequence[Message], state: Progress) -> int:
        """Project a page; returns the number of records. If a handler fails, the page is halved until the record is found."""
        try:
            async with conn.begin_nested():
                return await self._dispatcher.tell_again(conn, self._group, messages)
        except HandlerFailed as failure:
            if len(messages) > 1:
                half = len(messages) // 2
                return await self._apply(conn, messages[:half], state) + await self._apply(conn, messages[half:], state)
            subject = messages[0].envelope.subject
            reason = describe(failure.__cause__)
            log.error("rebuild.failed", group=self._group.name, entity=str(subject), error=reason)
            state.failed += 1
            if len(self._failures) < FAILED_SHOWN:
                self._failures.append(f"{subject}: {reason}")
            return 0

    async def _sweep_page(self, conn: AsyncConnection, state: Progress) -> None:
        if state.after == SMALLEST:
            # All of the publisher's records are here in its epoch. Events of older epochs about other records are lost.
            await conn.exec_driver_sql(_TAKEN_UP, (self._group.name, self._source, self._epoch))
        if self._group.keyless:
            service = self._source.rpartition("/")[2]
            found = await own_rows.copies_after(conn, self._group, service, state.after, SWEEP)
        else:
            found = await positions_after(conn, self._group.name, self._source, state.after, SWEEP)
        if not found:
            if not self._group.keyless:
                state.gone += await self._sweep_strays(conn)
            state.finished = True
            return
        # A record that was read here first and does not exist at the publisher was deleted there, or never existed.
        ids = [entity for entity, _ in found]
        state.gone += await self._forget(conn, ids)
        state.after = ids[-1]

    async def _forget(self, conn: AsyncConnection, ids: Sequence[UUID]) -> int:
        async with self._publisher.runtime.db.autocommit() as theirs:
            known = await self._publisher.versions(theirs, ids)
        missing = [entity for entity in ids if entity not in known]
        if missing:
            await gone.forget(self._follower, conn, self._group, self._source, missing, self._epoch)
        return len(missing)

    async def _sweep_strays(self, conn: AsyncConnection) -> int:
        count = 0
        for copies in self._group.copies:
            while ids := await gone.strays(conn, self._group, copies, self._publisher, SWEEP):
                if not (forgotten := await self._forget(conn, ids)):
                    break
                count += forgotten
        return count

    async def _take_up_epoch(self) -> None:
        async with self._follower.db.begin() as conn:
            await conn.exec_driver_sql(_TAKEN_UP, (self._group.name, self._source, self._epoch))

    async def _release(self) -> None:
        """Make events due that waited for events that are skipped now."""
        async with self._follower.db.begin() as conn:
            if self._group.keyless:
                await inbox.release_all(conn, [self._group.name])
            else:
                await inbox.release(conn, [self._group.name], [self._group.name])
            await conn.exec_driver_sql("select pg_notify($1, '')", (inbox.CHANNEL,))
