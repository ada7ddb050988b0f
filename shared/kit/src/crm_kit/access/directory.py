"""The directory of every service: principals, the business-unit tree, the organisation and revocations.

The tables are this service's own copy, which a worker updates from identity's events (``crm_kit.copies.directory_feed``).
Every process keeps the needed part in memory, so a check needs no call. It refreshes it when it is notified, and by itself
every 5 s, or every second while it cannot be notified.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.access.privileges import UnitTree
from crm_kit.backoff import Backoff
from crm_kit.lookout import Lookout
from crm_kit.network.postgres import told
from crm_kit.store.columns import Timestamp, name_indexes
from crm_kit.store.database import Database
from crm_kit.store.notify import Notifier

CHANNEL: Final = "crm_access"
POLL_SECONDS: Final = 1.0
LONGEST_PAUSE: Final = 5.0
NAMES_HELD: Final = 10_000
REVOCATION_LIFE: Final = timedelta(minutes=15)
"""How long a revocation is kept: longer than the longest life of a token plus its leeway."""

log = structlog.get_logger(__name__)


def directory_tables(metadata: MetaData) -> None:
    """The local copies. A row's ``marker`` is that of ``access_state`` at its last change: readers fetch only changes."""

    def projected() -> tuple[Column[int], Column[bool]]:
        return Column("version", Integer, nullable=False), Column("deleted", Boolean, nullable=False)

    Table(
        "principal_ref",
        metadata,
        Column("id", Uuid, primary_key=True),
        *projected(),
        Column("marker", BigInteger, nullable=False),
        Column("kind", String(8), nullable=False, comment="user, team or client"),
        Column("name", Text, nullable=False),
        Column("email", Text),
        Column("business_unit_id", Uuid, nullable=False),
        Column("active", Boolean, nullable=False),
        Index(None, "email"),
        *name_indexes("principal_ref", "name"),
    )
    Table(
        "unit_ref",
        metadata,
        Column("id", Uuid, primary_key=True),
        *projected(),
        Column("name", Text, nullable=False),
        Column("parent_id", Uuid),
    )
    Table(
        "organization_ref",
        metadata,
        Column("id", Uuid, primary_key=True),
        *projected(),
        Column("name", Text, nullable=False),
        Column("time_zone", Text, nullable=False),
        Column("base_currency", String(3), nullable=False),
        Column("country", String(2), nullable=False),
        Column("language", Text, nullable=False),
    )
    Table(
        "revocation",
        metadata,
        Column("principal_id", Uuid, primary_key=True),
        Column("not_before", Timestamp(), nullable=False, index=True),
        Column("sequence", BigInteger, comment="of the change, in identity's own count"),
        Column("sequence_of", Timestamp(), comment="the not_before that it belongs to"),
        Column("noted_at", Timestamp(), comment="by this service's clock; null where a release before wrote the row"),
    )
    Table(
        "jwks",
        metadata,
        Column("kid", Text, primary_key=True),
        Column("key", JSONB, nullable=False),
        Column("fetched_at", Timestamp(), nullable=False),
    )
    Table(
        "access_state",
        metadata,
        Column("id", SmallInteger, primary_key=True, autoincrement=False),
        Column("marker", BigInteger, nullable=False, comment="+1 with every change of the tables above"),
    )


@dataclass(frozen=True, slots=True)
class Member:
    """A user, team or API client as others see it: its name travels as ``owner_name``."""

    kind: str
    name: str
    email: str | None
    unit: UUID
    active: bool
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Revocation:
    """The last change of a principal's rights."""

    not_before: float
    """By identity's clock, in seconds since 1970."""
    sequence: int | None
    """By identity's own count; None where the change or its handler was of a release that did not count."""

    def voids(self, issued_at: float, sequence: int | None) -> bool:
        """Whether a token is void that was issued at this time and with this count of changes.

        A clock may go back, and then no token would be new enough for that time. Only the count is reliable.
        """
        if sequence is None or self.sequence is None:
            return issued_at < self.not_before
        return sequence < self.sequence


REVOKED: Final = "not_before, case when sequence_of = not_before then sequence end as sequence"
"""A handler of an earlier release raises ``not_before`` alone; then the sequence beside it is not the change's."""


@dataclass(frozen=True, slots=True)
class Organization:
    """Settings of the whole deployment.

    Until identity's first event arrives it is the default below: UTC, EUR, and no country, so that a national phone
    number is refused rather than guessed.
    """

    time_zone: str = "UTC"
    base_currency: str = "EUR"
    country: str | None = None
    language: str = "en"
    name: str | None = None


class Directory:
    """The copies in memory. ``start`` before the first request; ``ready`` once everything was read a first time."""

    def __init__(self, db: Database, notifier: Notifier) -> None:
        self.tree = UnitTree({})
        self.organization = Organization()
        self.ready = False
        self._db = db
        self._notifier = notifier
        self._names: OrderedDict[UUID, Member | None] = OrderedDict()
        self._units: dict[UUID, str] = {}
        self._revoked: dict[UUID, Revocation] = {}
        self._marker = -1
        self._news = asyncio.Event()
        self._refreshing = asyncio.Lock()
        backoff = Backoff(POLL_SECONDS, LONGEST_PAUSE)
        self._lookout = Lookout("directory", self._look, every=self._pause, backoff=backoff, news=self._news)

    async def start(self) -> None:
        """Read once and keep refreshing. While the database is down, ``ready`` stays false."""
        self._notifier.listen(CHANNEL, self._wake)
        await self._lookout.start()

    async def stop(self) -> None:
        """Stop refreshing."""
        await self._lookout.stop()

    @property
    def alive(self) -> bool:
        """Whether the refresh loop is running."""
        return self._lookout.alive

    def named(self, principal_id: UUID) -> Member | None:
        """The principal, if this process knows it; call ``learn`` first if the name matters."""
        found = self._names.get(principal_id)
        if found is not None:
            self._names.move_to_end(principal_id)
        return found

    def unit_name(self, unit_id: UUID) -> str | None:
        """The name of a business unit, or None if this service does not know it."""
        return self._units.get(unit_id)

    async def learn(self, conn: AsyncConnection, ids: Iterable[UUID]) -> None:
        """Load these ids for ``named``: one statement for unknown ids, none if all are known."""
        missing = [principal_id for principal_id in set(ids) if principal_id not in self._names]
        while missing:
            marker = self._marker
            found = await self._read_names(conn, missing)
            if marker == self._marker:
                self._remember(missing, found)
                return
            # A refresh ran during the read and did not know that these names were about to be stored.

    def superseded(self, principal_id: UUID, issued_at: float, sequence: int | None = None) -> bool:
        """Whether a change of the principal's rights voids a token that was issued at this time (seconds since 1970)."""
        revocation = self._revoked.get(principal_id)
        return revocation is not None and revocation.voids(issued_at, sequence)

    async def refresh(self) -> None:
        """Load the changes since the last refresh, one cheap statement if there are none.

        Only one runs at a time, because of two simultaneous ones, the older read could finish last.
        """
        async with self._refreshing, self._db.glance() as conn:
            marker = (
                await conn.exec_driver_sql("select marker from access_state where id = 1")
            ).scalar_one_or_none() or 0
            if marker != self._marker:
                await self._load(conn)
                # Read before the load: a change that commits meanwhile is loaded now and again at the next refresh.
                self._marker = marker
        self.ready = True

    async def _load(self, conn: AsyncConnection) -> None:
        units = await _rows(conn, "select id, parent_id, name from unit_ref where not deleted")
        self.tree = UnitTree({row[0]: row[1] for row in units})
        self._units = {row[0]: row[2] for row in units}
        organization = await _rows(
            conn,
            "select time_zone, base_currency, country, language, name from organization_ref where not deleted limit 1",
        )
        if organization:
            self.organization = Organization(*organization[0])
        revoked = await _rows(
            conn,
            f"select principal_id, {REVOKED} from revocation where greatest(noted_at, not_before) > $1",
            clock.now() - REVOCATION_LIFE,
        )
        self._revoked = {row[0]: Revocation(row[1].timestamp(), row[2]) for row in revoked}
        if held := list(self._names):
            news = await _rows(
                conn, "select id from principal_ref where marker > $1 and id = any($2::uuid[])", self._marker, held
            )
            if changed := [row[0] for row in news]:
                self._remember(changed, await self._read_names(conn, changed))

    async def _read_names(self, conn: AsyncConnection, ids: list[UUID]) -> dict[UUID, Member]:
        rows = await _rows(
            conn,
            "select id, kind, name, email, business_unit_id, active, deleted from principal_ref"
            " where id = any($1::uuid[])",
            ids,
        )
        return {row[0]: Member(*row[1:]) for row in rows}

    def _remember(self, ids: list[UUID], found: dict[UUID, Member]) -> None:
        for principal_id in ids:
            # An unknown id is remembered too, or every list that shows it would ask again.
            self._names[principal_id] = found.get(principal_id)
            self._names.move_to_end(principal_id)
        while len(self._names) > NAMES_HELD:
            self._names.popitem(last=False)

    def _wake(self, *_: object) -> None:
        self._news.set()

    def _pause(self) -> float:
        return LONGEST_PAUSE if self._notifier.is_listening else POLL_SECONDS

    async def _look(self) -> bool:
        try:
            await self.refresh()
        except (SQLAlchemyError, OSError) as error:
            log.warning("directory is behind: the database does not answer", error=told(error))
            return False
        return True


async def _rows(conn: AsyncConnection, sql: str, *parameters: object) -> Sequence[Any]:
    return (await conn.exec_driver_sql(sql, parameters)).all()
