"""Finds records of a projection that are missing, extra, behind or ahead of their publisher. Events on their way do not count.

The order is that of (epoch, version), as for events. A record does not show the epoch of its version. It belongs to the present
epoch if it was written after that began.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.catalogue import Entity
from crm_kit import clock
from crm_kit.events.consumers import Copies, Group
from crm_kit.events.epochs import FIRST, current
from crm_kit.events.ordering import Place
from crm_kit.process.runtime import Runtime
from crm_kit.reconciling import journal
from crm_kit.reconciling.parties import Publisher
from crm_kit.reconciling.windows import ROWS, digest, ranges

Kind = Literal["missing", "extra", "behind", "ahead"]
KINDS: Final[tuple[Kind, ...]] = ("missing", "extra", "behind", "ahead")

MOST: Final = 10_000
"""The most differences of one group and source that are examined."""
SHOWN: Final = 20
"""The most ids of each kind that are reported."""
SETTLE_SECONDS: Final = 30.0
CALM_SECONDS: Final = 3.0
"""Seconds after the delivery of the last event of a record, after which a difference is not on its way any more."""
LOOK_SECONDS: Final = 0.5
LOOKED_AT: Final = 1000

Drained = Callable[[], Awaitable[bool]]
"""Returns whether the follower's queues are empty."""


@dataclass(slots=True)
class Report:
    """The result for one group and one source."""

    service: str
    group: str
    source: str
    compared: int = 0
    """The number of the publisher's records, or of its events if the group keeps a row per event."""
    since: datetime | None = None
    """If the group keeps a row per event: when it began to follow the source. Earlier events are not expected."""
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    in_flight: int = 0
    complete: bool = True
    """Whether everything was compared. It is false if there were too many differences."""
    ids: dict[Kind, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    @property
    def diverged(self) -> bool:
        """Whether there are differences that are not on their way."""
        return any(self.counts.values()) or not self.complete


@dataclass(frozen=True, slots=True)
class Side:
    """A table in which a group keeps the versions of records: a table of copies, or the positions of steps."""

    rows: str
    """Selects id, epoch, version and deleted of the ids above ``$1`` and up to ``$2``. Further parameters follow."""
    parameters: tuple[object, ...]
    by_id: str
    """Selects the same columns of the ids in ``$1``."""
    by_id_parameters: tuple[object, ...]
    entities: tuple[Entity, ...]
    judged: frozenset[Kind]


class Pair(NamedTuple):
    """The places of a record at its publisher and here."""

    theirs: Place | None
    """The place at its publisher. The epoch is the present one, or 0 if the version is of an earlier one, which is unknown."""
    ours: Place | None
    deleted: bool
    """Whether the record is deleted here."""


def judge(pair: Pair, epoch: int) -> Kind | None:
    """Return how a copy differs from its record, or None. ``epoch`` is the publisher's present epoch."""
    theirs, ours, deleted = pair
    known = ours is not None and ours.version > 0
    if theirs is None:
        return "extra" if known and not deleted else None
    if ours is None or not known:
        return "missing"
    if ours.epoch < theirs.epoch or (ours.epoch <= epoch and ours.version < theirs.version):
        return "behind"
    return "ahead" if ours.epoch > epoch or ours.version > theirs.version else None


def sides(group: Group, publisher: Publisher) -> list[Side]:
    """Return the tables of a group that can be compared with a publisher's records."""
    found = []
    for copies in group.copies:
        entities = tuple(entity for entity in publisher.entities if entity in copies.entities)
        if entities:
            found.append(_copies(group, copies, entities, publisher.source))
    if group.kind == "step" and group.keeps_order:
        found.append(_positions(group, publisher))
    return found


_WITH_POSITIONS: Final = """
(select copy.*, coalesce(p.epoch, 0) as epoch from {0} copy
  left join inbox_position p on p.consumer = '{1}' and p.source = '{2}' and p.entity = copy.id) placed
"""


def _copies(group: Group, copies: Copies, entities: tuple[Entity, ...], source: str) -> Side:
    # The copies of a group that keeps positions have no epoch of their own.
    table = _WITH_POSITIONS.format(copies.table, group.name, source) if group.keeps_order else copies.table
    rows = f"select id, epoch, version, deleted from {table} where "
    kinds = [entity.name for entity in entities]
    ranged, parameters = "id > $1 and id <= $2", tuple[object, ...]()
    if copies.kind:
        ranged, parameters = f"{ranged} and {copies.kind} = any($3::text[])", (kinds,)
    return Side(rows + ranged, parameters, rows + "id = any($1::uuid[])", (), entities, frozenset(KINDS))


def _positions(group: Group, publisher: Publisher) -> Side:
    """Return the positions of a step. Only steps that are ahead count, because they ignore events until the publisher catches up.
    A step that is behind waits for events."""
    rows = "select entity as id, epoch, version, deleted from inbox_position where "
    ranged = "entity > $1 and entity <= $2 and consumer = $3 and source = $4"
    by_id = "entity = any($1::uuid[]) and consumer = $2 and source = $3"
    names = (group.name, publisher.source)
    return Side(rows + ranged, names, rows + by_id, names, publisher.entities, frozenset({"ahead"}))


class Comparison:
    """Compares one group of one service with one publisher."""

    def __init__(self, follower: Runtime, group: Group, publisher: Publisher, drained: Drained) -> None:
        self._follower, self._group, self._publisher, self._drained = follower, group, publisher, drained
        self._epoch = FIRST
        self.report = Report(follower.service, group.name, publisher.source)

    async def run(self, seconds: float = SETTLE_SECONDS) -> Report:
        """Compare and return the report. Differences are examined again for up to ``seconds``, until they disappear or are
        certainly not on their way."""
        async with self._publisher.runtime.db.autocommit() as theirs:
            self._epoch = await current(theirs)
        for side in sides(self._group, self._publisher):
            if suspects := await self._suspects(side):
                await self._settle(side, suspects, seconds)
        if self._group.journal is not None:
            await self._compare_journal(seconds)
        async with self._follower.db.begin() as conn:
            counts = [self.report.counts[kind] for kind in KINDS]
            await conn.exec_driver_sql(_KEEP, (self.report.group, self.report.source, clock.now(), *counts))
        return self.report

    def _judge(self, pair: Pair) -> Kind | None:
        return judge(pair, self._epoch.number)

    @property
    def _since(self) -> tuple[object, ...]:
        """The beginning and the number of the publisher's present epoch."""
        return self._epoch.begun_at, self._epoch.number

    async def _suspects(self, side: Side) -> dict[UUID, Pair]:
        found: dict[UUID, Pair] = {}
        ordered = f"select id from ({self._publisher.union('id > $1', side.entities)}) known order by id"
        told = self._publisher.union("id > $1 and id <= $2", side.entities, _TOLD)
        placed = _PLACED.format(told, "$3", "$4")
        # A copy of another epoch is always examined, because its version alone does not show whether it is the same.
        number = f"case when epoch = {self._epoch.number} then version else -version end::bigint as number"
        living = f"select id, {number} from ({side.rows}) kept where not deleted"
        told = f"select id, version::bigint as number from ({told}) known"
        async with self._publisher.runtime.db.autocommit() as theirs, self._follower.db.autocommit() as ours:
            async for low, high in ranges(theirs, ordered):
                # Our rows are read first. What has arrived here must be in the publisher's rows.
                mine = await digest(ours, living, (low, high, *side.parameters))
                known = await digest(theirs, told, (low, high))
                self.report.compared += known[0]
                if mine == known:
                    continue
                here = _pages(ours, side.rows, low, high, side.parameters)
                there = _pages(theirs, placed, low, high, self._since)
                async for id_, pair in _beside(there, here):
                    if self._judge(pair) in side.judged:
                        found[id_] = pair
                    if len(found) >= MOST:
                        self.report.complete = False
                        return found
        return found

    async def _settle(self, side: Side, suspects: dict[UUID, Pair], seconds: float) -> None:
        """Count the differences that remain while no event of their records is on its way. Uncertain ones count as in flight."""
        ends, calm_since = clock.monotonic() + seconds, dict[UUID, float]()
        while True:
            drained, moving = await self._drained(), await self._moving(list(suspects))
            again = await self._look(side, list(suspects))
            now = clock.monotonic()
            still = {id_: pair for id_, pair in again.items() if self._judge(pair) in side.judged}
            # Events that are on their way cannot repair a copy that is ahead.
            calm = {
                id_
                for id_, pair in still.items()
                if pair == suspects[id_] and (self._judge(pair) == "ahead" or (drained and id_ not in moving))
            }
            calm_since = {id_: calm_since.get(id_, now) for id_ in calm}
            suspects = still
            settled = {id_ for id_, since in calm_since.items() if now - since >= CALM_SECONDS}
            if len(settled) == len(suspects) or now >= ends:
                break
            await asyncio.sleep(LOOK_SECONDS)
        for id_, pair in sorted(suspects.items()):
            if id_ in settled:
                self._count(self._judge(pair), id_)
            else:
                self.report.in_flight += 1

    def _count(self, kind: Kind | None, id_: UUID) -> None:
        assert kind is not None
        self.report.counts[kind] += 1
        if len(self.report.ids[kind]) < SHOWN:
            self.report.ids[kind].append(str(id_))

    async def _look(self, side: Side, ids: Sequence[UUID]) -> dict[UUID, Pair]:
        found: dict[UUID, Pair] = {}
        placed = _PLACED.format(self._publisher.union("id = any($1::uuid[])", columns=_TOLD), "$2", "$3")
        async with self._publisher.runtime.db.autocommit() as theirs, self._follower.db.autocommit() as ours:
            for at in range(0, len(ids), LOOKED_AT):
                chunk = list(ids[at : at + LOOKED_AT])
                rows: Any = (await ours.exec_driver_sql(side.by_id, (chunk, *side.by_id_parameters))).all()
                here = {row[0]: (Place(row[1], row[2]), row[3]) for row in rows}
                rows = (await theirs.exec_driver_sql(placed, (chunk, *self._since))).all()
                there = {row[0]: Place(row[1], row[2]) for row in rows}
                found |= {id_: Pair(there.get(id_), *here.get(id_, (None, False))) for id_ in chunk}
        return found

    async def _moving(self, ids: list[UUID]) -> set[UUID]:
        """Return the records with an event that is not published yet, or that will be tried again here."""
        async with self._publisher.runtime.db.autocommit() as theirs, self._follower.db.autocommit() as ours:
            unpublished = (await theirs.exec_driver_sql(_UNPUBLISHED, (ids,))).scalars()
            stored = (await ours.exec_driver_sql(_STORED, (self._group.name, ids))).scalars()
            return {*unpublished, *stored}

    async def _compare_journal(self, seconds: float) -> None:
        extra, missing = await self._events()
        if missing:
            drained = await self._until_drained(seconds)
            extra, again = await self._events()
            missing &= again
            if not drained:
                self.report.in_flight += len(missing)
                missing = set()
        # The journal is read before the history, and the history has every event before it is sent.
        for kind, ids in (("extra", extra), ("missing", missing)):
            for id_ in sorted(ids):
                self._count("extra" if kind == "extra" else "missing", id_)

    async def _until_drained(self, seconds: float) -> bool:
        ends = clock.monotonic() + seconds
        while not await self._drained():
            if clock.monotonic() >= ends:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(CALM_SECONDS)
        return True

    async def _events(self) -> tuple[set[UUID], set[UUID]]:
        extra, missing = set[UUID](), set[UUID]()
        self.report.complete = True
        looked = journal.Looked()
        async for found in journal.differences(self._follower, self._group, self._publisher, looked):
            extra.update(found.extra)
            missing.update(found.missing)
            if len(extra) + len(missing) >= MOST:
                self.report.complete = False
                break
        self.report.compared, self.report.since = looked.events, looked.since
        return extra, missing


_KEEP = """
insert into projection_check (consumer, source, checked_at, missing, extra, behind, ahead)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (consumer, source) do update set checked_at = excluded.checked_at, missing = excluded.missing,
  extra = excluded.extra, behind = excluded.behind, ahead = excluded.ahead
"""
_UNPUBLISHED = "select entity_id from outbox where state = 'pending' and entity_id = any($1::uuid[])"
_STORED = "select entity from inbox where consumer = $1 and state = 'pending' and entity = any($2::uuid[])"

_TOLD = "id, version, modified_at"
_PLACED = """
select id, case when modified_at >= {1}::timestamptz then {2}::int else 0 end as epoch, version, false as deleted from ({0}) known
"""

Row = tuple[UUID, Place, bool]


async def _pages(
    conn: AsyncConnection, rows: str, low: UUID, high: UUID, parameters: Sequence[object]
) -> AsyncIterator[Row]:
    """Yield all rows of a range in the order of their ids."""
    page = f"select id, epoch, version, deleted from ({rows}) kept order by id limit {ROWS}"
    while True:
        found: Sequence[Any] = (await conn.exec_driver_sql(page, (low, high, *parameters))).all()
        if not found:
            return
        for row in found:
            yield row[0], Place(row[1], row[2]), row[3]
        low = found[-1][0]


async def _beside(theirs: AsyncIterator[Row], ours: AsyncIterator[Row]) -> AsyncIterator[tuple[UUID, Pair]]:
    """Merge two sequences in the order of ids, and yield a pair for each id."""
    there, here = await anext(theirs, None), await anext(ours, None)
    while there is not None or here is not None:
        if here is None or (there is not None and there[0] < here[0]):
            assert there is not None
            yield there[0], Pair(there[1], None, False)
            there = await anext(theirs, None)
        elif there is None or here[0] < there[0]:
            yield here[0], Pair(None, here[1], here[2])
            here = await anext(ours, None)
        else:
            yield here[0], Pair(there[1], here[1], here[2])
            there, here = await anext(theirs, None), await anext(ours, None)
