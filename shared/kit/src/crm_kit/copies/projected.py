"""Read your own writes across services: ``Crm-After: contact/<id>@3`` waits until this service's projections have the version."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Entity, entity_for
from crm_contracts.envelope import source_of
from crm_contracts.sentences import said
from crm_kit.errors import DomainError
from crm_kit.events.consumers import Consumers, Group
from crm_kit.store.database import Database, fetch
from crm_kit.store.shares import TooManyAtOnce
from crm_kit.work.uow import UnitOfWork

POSITION: Final = """
(select version from inbox_position p where p.consumer = a.consumer and p.source = a.source and p.entity = a.entity)
"""
# An operator who skips an event moves the position past it. A position of an epoch before the copy's does not count, because the
# publisher was restored.
PASSED: Final = """
(select version from inbox_position p where p.consumer = a.consumer and p.source = a.source and p.entity = a.entity
  and not exists (select from {0} t where t.id = a.entity and t.epoch > p.epoch) and not {1})
"""
UNDONE: Final = """
exists (select from inbox u where u.consumer = a.consumer and u.source = a.source and u.entity = a.entity
  and u.state in ('pending', 'waiting', 'parked') and u.entity_version <= a.version)
"""
ONE = re.compile(r"\s*([a-z][a-z_]{0,49})/([0-9a-fA-F-]{36})@([0-9]{1,9})\s*")
MOST = 10
FIRST_PAUSE: Final = 0.01
GROWTH: Final = 1.5
LONGEST_PAUSE: Final = 0.1
"""Seconds between two looks for one request. Most events arrive soon, so the pauses grow from the first to the longest."""
WAITING_EACH: Final = 100
"""The most requests of one caller that may wait at a time, in one process."""
WAITING_ALL: Final = 1000


@dataclass(frozen=True, slots=True)
class Awaited:
    """A version of a record for which a group is awaited."""

    group: str
    source: str
    entity_id: UUID
    version: int
    question: str
    """The statement that asks whether the group has the version (see ``question_of``)."""


def parse_after(header: str) -> list[tuple[str, UUID, int]]:
    """Return (entity, id, version) of each item. Raises 400 for another form, or for more than ten items."""
    found = []
    for part in header.split(","):
        match = ONE.fullmatch(part)
        try:
            found.append((match[1], UUID(match[2]), int(match[3])) if match else None)
        except ValueError:
            found.append(None)
    if None in found or len(found) > MOST:
        raise DomainError(
            "invalid-header",
            said("Send Crm-After as a list of at most {most} items such as contact/<id>@3.", most=MOST),
        )
    return [one for one in found if one is not None]


async def wait_until_projected(consumers: Consumers | None, uow: UnitOfWork, header: str) -> None:
    """Return when every handler group that follows these entities has the versions of the header.

    Raises 503 ``not-yet-projected`` after ``projection_wait_seconds``, or at once if the event, or one before it, is parked.
    Skipped events and entities that this service does not follow are not waited for. Raises also as ``Arrivals.wait`` does.
    """
    awaited = _groups(consumers, parse_after(header))
    if not awaited:
        return
    # Usually the versions are here already. Then the request goes on with the same connection.
    if not await _missing(await uow.connection(), awaited):
        return
    await uow.link.let_go()
    arrivals = uow.runtime.extras.setdefault("arrivals", Arrivals(uow.runtime.db))
    await arrivals.wait(uow.principal.id, awaited, uow.runtime.settings.projection_wait_seconds)


@dataclass(slots=True)
class Waiting:
    """A request that waits without a connection, and the time of the next look."""

    awaited: list[Awaited]
    arrived: "asyncio.Future[None]"
    look_at: float
    pause: float = FIRST_PAUSE


class Arrivals:
    """The requests of one process that wait for events. While there are any, one task looks for all of them, and takes a
    connection for each look. However many requests wait, they therefore cost one small statement from time to time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[Waiting] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._count: Counter[UUID] = Counter()

    async def wait(self, principal: UUID, awaited: list[Awaited], seconds: float) -> None:
        """Return when all events have arrived. Raises 503 ``not-yet-projected`` if they do not arrive within ``seconds``, 429 if
        too many requests of the principal wait, and 503 ``unavailable`` if too many requests wait in all."""
        if self._count[principal] >= WAITING_EACH:
            raise TooManyAtOnce
        if len(self._waiting) >= WAITING_ALL:
            raise DomainError("unavailable", "Too many requests are waiting for recent writes. Try again.")
        loop = asyncio.get_running_loop()
        waiting = Waiting(awaited, loop.create_future(), loop.time() + FIRST_PAUSE)
        self._waiting.append(waiting)
        self._count[principal] += 1
        self._news.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_out(), name="arrivals")
        try:
            async with asyncio.timeout(seconds):
                await waiting.arrived
        except TimeoutError:
            raise _late("What you wrote has not arrived here yet; try again.", "late") from None
        finally:
            self._waiting.remove(waiting)
            self._count[principal] -= 1
            if not self._count[principal]:
                del self._count[principal]

    async def _look_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            now = loop.time()
            due = [waiting for waiting in self._waiting if waiting.look_at <= now]
            if not due:
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(min(waiting.look_at for waiting in self._waiting)):
                        await self._news.wait()
                continue
            await self._look(due)
            # The pause is nine times as long as the look, so that looks take at most a tenth of the time.
            await asyncio.sleep((loop.time() - now) * 9)
            for waiting in due:
                waiting.pause = min(waiting.pause * GROWTH, LONGEST_PAUSE)
                waiting.look_at = loop.time() + waiting.pause

    async def _look(self, due: list[Waiting]) -> None:
        wanted = list({awaited for waiting in due for awaited in waiting.awaited})
        try:
            async with self._db.autocommit() as conn:
                missing = await _missing(conn, wanted)
        except (SQLAlchemyError, OSError) as error:
            for waiting in due:
                if not waiting.arrived.done():
                    waiting.arrived.set_exception(error)
            return
        for waiting in due:
            # The caller may have given up during the look.
            if waiting.arrived.done():
                continue
            late = [missing[awaited] for awaited in waiting.awaited if awaited in missing]
            if any(late):
                message = "A required event is parked. Ask an operator to resolve it."
                waiting.arrived.set_exception(_late(message, "parked"))
            elif not late:
                waiting.arrived.set_result(None)


async def _missing(conn: AsyncConnection, awaited: Sequence[Awaited]) -> dict[Awaited, bool]:
    """Return the awaited versions that have not arrived, and whether each is blocked by a parked event."""
    missing: dict[Awaited, bool] = {}
    for question in dict.fromkeys(one.question for one in awaited):
        some = [one for one in awaited if one.question == question]
        parameters = (
            [one.group for one in some],
            [one.source for one in some],
            [one.entity_id for one in some],
            [one.version for one in some],
        )
        for row in await fetch(conn, question, parameters):
            missing[Awaited(row[0], row[1], row[2], row[3], question)] = row[4]
    return missing


MISSING = """
select a.consumer, a.source, a.entity, a.version, exists (
    select from inbox i
    where i.consumer = a.consumer and i.source = a.source and i.entity = a.entity and i.state = 'parked'
      and i.entity_version {1} a.version
)
from unnest($1::text[], $2::text[], $3::uuid[], $4::int[]) a (consumer, source, entity, version)
where coalesce({0}, 0) < a.version
"""


def question_of(group: Group, entity: Entity) -> str:
    """Return the statement that selects the versions of records that a group does not have, and whether each is parked.

    If the group keeps no order, a parked event does not hold up later versions.
    """
    return MISSING.format(_reached(group, entity), "=" if group.keyless else "<=")


def _reached(group: Group, entity: Entity) -> str:
    """Return the SQL of the version that a group has of a record, from its own rows or from its position."""
    if group.any_order:
        # A projection gets the same events. Those that this group has not done are stored in the inbox.
        return f"case when {UNDONE} then 0 else a.version end"
    if not group.keyless:
        return POSITION
    if group.journal is not None:
        # Earlier releases stored rows without a version, and kept a position instead.
        rows = f"(select max(version) from {group.journal.table} j where j.record_id = a.entity)"
        return f"greatest({rows}, {POSITION})"
    table = next(copies.table for copies in group.copies if entity in copies.entities)
    return f"greatest((select version from {table} t where t.id = a.entity), {PASSED.format(table, UNDONE)})"


def _groups(consumers: Consumers | None, wanted: list[tuple[str, UUID, int]]) -> list[Awaited]:
    if consumers is None:
        return []
    awaited = []
    for name, record_id, version in wanted:
        entity = entity_for(name)
        if entity is not None:
            for group in consumers.following(entity.service, entity.name):
                question = question_of(group, entity)
                awaited.append(Awaited(group.name, source_of(entity.service), record_id, version, question))
    return awaited


def _late(detail: str, code: str) -> DomainError:
    return DomainError("not-yet-projected", detail, members={"code": code})
