"""Read your writes across services: ``Crm-After: contact/<id>@3`` waits until this service's projections are there."""

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
from crm_kit.errors import DomainError
from crm_kit.events.consumers import Consumers, Group
from crm_kit.store.database import Database, fetch
from crm_kit.store.shares import TooManyAtOnce
from crm_kit.work.uow import UnitOfWork

POSITION: Final = """
(select version from inbox_position p where p.consumer = a.consumer and p.source = a.source and p.entity = a.entity)
"""
# Whoever leaves an event out moves the position past it. A position of a story that the publisher lost says nothing.
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
"""Seconds between the looks for one request: what is on its way comes soon, and what does not come soon may never come."""
WAITING_EACH: Final = 100
"""How many requests of one caller may wait at a time, in one process."""
WAITING_ALL: Final = 1000


@dataclass(frozen=True, slots=True)
class Awaited:
    """One record at one version, and a group that has to get there."""

    group: str
    source: str
    entity_id: UUID
    version: int
    question: str
    """The statement that asks whether the group is there: see ``question_of``."""


def parse_after(header: str) -> list[tuple[str, UUID, int]]:
    """(entity, id, version) of each item; 400 for another form or more than ten."""
    found = []
    for part in header.split(","):
        match = ONE.fullmatch(part)
        try:
            found.append((match[1], UUID(match[2]), int(match[3])) if match else None)
        except ValueError:
            found.append(None)
    if None in found or len(found) > MOST:
        raise DomainError("invalid-header", f"Send Crm-After as a list of at most {MOST} items such as contact/<id>@3.")
    return [one for one in found if one is not None]


async def wait_until_projected(consumers: Consumers | None, uow: UnitOfWork, header: str) -> None:
    """Return once every handler group that follows these entities has them; 503 ``not-yet-projected`` after 2 s, or at
    once when the event, or one that it has to wait for, is parked and will not come by itself. An event that an operator
    left out is not waited for. Entities this service does not follow are ignored."""
    awaited = _groups(consumers, parse_after(header))
    if not awaited:
        return
    # Mostly it is here already; then the connection serves what follows, too.
    if not await _missing(await uow.connection(), awaited):
        return
    await uow.link.let_go()
    arrivals = uow.runtime.extras.setdefault("arrivals", Arrivals(uow.runtime.db))
    await arrivals.wait(uow.principal.id, awaited, uow.runtime.settings.projection_wait_seconds)


@dataclass(slots=True)
class Waiting:
    """A request that waits, without a connection, and when to look for it again."""

    awaited: list[Awaited]
    arrived: "asyncio.Future[None]"
    look_at: float
    pause: float = FIRST_PAUSE


class Arrivals:
    """The requests of one process that wait for events. One task looks for all of them, while there are any, and lends a
    connection for each look alone: however many wait for what never comes, they cost a small statement now and then."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[Waiting] = []
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._count: Counter[UUID] = Counter()

    async def wait(self, principal: UUID, awaited: list[Awaited], seconds: float) -> None:
        """Return when all has arrived; ``not-yet-projected`` when it does not; 429 when too many wait already."""
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
            # However long a look takes, nine tenths of the time nobody looks.
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
            # Its caller may have given up while we looked.
            if waiting.arrived.done():
                continue
            late = [missing[awaited] for awaited in waiting.awaited if awaited in missing]
            if any(late):
                message = "A required event is parked. Ask an operator to resolve it."
                waiting.arrived.set_exception(_late(message, "parked"))
            elif not late:
                waiting.arrived.set_result(None)


async def _missing(conn: AsyncConnection, awaited: Sequence[Awaited]) -> dict[Awaited, bool]:
    """What has not arrived, and of each whether it is parked and will not come by itself."""
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
    """The statement that tells which of some versions of records a group is not at, and of each whether it is parked.

    Where no order is kept, nothing that is parked holds up a later version.
    """
    return MISSING.format(_reached(group, entity), "=" if group.keyless else "<=")


def _reached(group: Group, entity: Entity) -> str:
    """How far a group is with a record: its own rows say so, or else its position."""
    if group.any_order:
        # Its events come with those of a projection. What of them is not done is stored.
        return f"case when {UNDONE} then 0 else a.version end"
    if not group.keyless:
        return POSITION
    if group.journal is not None:
        # Events from before rows had a version are those that a position was kept of.
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
