"""The engine, the mixins of every record, and the column types that say a thing once."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self, cast
from uuid import UUID

import asyncpg
import orjson
import uuid_utils
from pydantic import BaseModel
from sqlalchemy import Computed, Enum, Index, MetaData, Numeric, String, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine  # noqa: TID251  # the one place
from sqlalchemy.orm import Composite, Mapped, MappedColumn, composite, mapped_column
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from crm_contracts.money import Money
from crm_kit import clock, sessions
from crm_kit.errors import IllegalTransition
from crm_kit.lifecycle import Lifecycle
from crm_kit.outages import DRIVER_LOST
from crm_kit.postgres import Target
from crm_kit.shares import Shares

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


STATEMENTS = 500
"""Prepared statements that a connection keeps."""


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): time-ordered, so new rows land at the end of every index."""
    return UUID(bytes=uuid_utils.uuid7(nanoseconds=int(clock.now().timestamp() * 1e9)).bytes)


# A forked process would otherwise draw the same random bits as its siblings.
os.register_at_fork(after_in_child=uuid_utils.reseed_rng)


class Pool(AsyncAdaptedQueuePool):
    """A pool that knows how many wait for a connection, and how many gave up."""

    waiting = 0
    timeouts = 0

    def _do_get(self) -> ConnectionPoolEntry:
        self.waiting += 1
        try:
            return super()._do_get()
        except PoolTimeout:
            self.timeouts += 1
            raise
        finally:
            self.waiting -= 1


class Database:
    """One service's database: a fixed pool (no overflow), reads in autocommit, writes in one transaction.

    ``lock_timeout`` bounds every wait for a row or a key, so that a stuck peer costs a caller 2 s and not a worker.
    ``by_index``: never read a whole table where an index can answer, however small the table looks.
    ``shares``: at most half of the pool is in the hands of one caller, so that nobody's slow work takes it from the others.
    ``slow``: of work that is known to be slow each caller does one piece at a time, and all of them together leave half of
    the pool to the rest.
    ``is_pooled``: a pooler in transaction mode stands between, so no statement finds the session of the one before.
    ``minds_pooler``: such a pooler that nothing told of is an error.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int,
        application_name: str,
        statement_seconds: float = 0,
        by_index: bool = False,
        is_pooled: bool = False,
        minds_pooler: bool = False,
    ) -> None:
        self.dsn = url
        self._target = Target.of(url)
        self._application_name = application_name
        self._is_pooled, self._minds_pooler = is_pooled, minds_pooler
        self._settings = sessions.settings(statement_seconds=statement_seconds, by_index=by_index)
        statements = 0 if is_pooled else STATEMENTS
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",
            poolclass=Pool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=2,
            # The connection used last has its statements prepared and its caches warm.
            pool_use_lifo=True,
            pool_recycle=1800,
            # An error's text may reach a log, and what was being written may be personal.
            hide_parameters=True,
            json_serializer=lambda value: orjson.dumps(value, default=str).decode(),
            json_deserializer=orjson.loads,
            connect_args={
                "async_creator_fn": self._connect,
                "prepared_statement_cache_size": statements,
                # Nameless where the next statement may meet another process of the server.
                "prepared_statement_name_func": (lambda: "") if is_pooled else None,
            },
        )
        self._size = pool_size
        half = max(1, pool_size // 2)
        self.shares = Shares(half, name="connections")
        self.slow = Shares(1, half, name="slow reads")
        self._autocommit = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def pool(self) -> Pool:
        """Its connections."""
        return cast(Pool, self.engine.pool)

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await self._target.connect(
            self._application_name, statement_cache_size=0 if self._is_pooled else STATEMENTS
        )
        try:
            if self._is_pooled:
                await sessions.look(connection, self._settings, self._target)
            elif not await sessions.tell(connection, self._settings) and self._minds_pooler:
                raise sessions.unspoken(self._target)
        except BaseException:
            connection.terminate()
            raise
        return connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A connection inside one transaction: committed when the block ends, rolled back when it raises."""
        async with self.engine.begin() as conn:
            yield conn

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which every statement stands alone."""
        async with self._autocommit.connect() as conn:
            yield conn

    def connect(self, *, autocommit: bool) -> AsyncConnection:
        """A connection the caller starts and closes: for the unit of work, which decides late."""
        return (self._autocommit if autocommit else self.engine).connect()

    @property
    def scarce(self) -> bool:
        """Whether the next caller may find no connection, or only the last one."""
        out: int = self.engine.pool.checkedout()  # type: ignore[attr-defined]  # the pool has it, its base not
        return out >= self._size - 1

    async def dispose(self) -> None:
        """Close the pool."""
        await self.engine.dispose()


async def fetch(conn: AsyncConnection, sql: str, parameters: Sequence[Any] = ()) -> list[asyncpg.Record]:
    """Run one statement on the driver itself: for the few hot ones, where a result object's making is a third of the cost.

    Inside a transaction it must not be the first statement: SQLAlchemy begins when it sends one. Errors are SQLAlchemy's;
    a connection that broke or was cancelled is not given back to the pool.
    """
    raw = conn.sync_connection.connection.dbapi_connection.driver_connection  # type: ignore[union-attr]  # it is open
    try:
        rows: list[asyncpg.Record] = await raw.fetch(sql, *parameters)
    except (asyncpg.PostgresError, *DRIVER_LOST, OSError) as error:
        broken = raw.is_closed() or not isinstance(error, asyncpg.PostgresError)
        if broken:
            await conn.invalidate()
        raise DBAPIError(sql, None, error, hide_parameters=True, connection_invalidated=broken) from error
    except asyncio.CancelledError:
        await asyncio.shield(conn.invalidate())
        raise
    return rows


def service_metadata() -> MetaData:
    """A metadata with stable constraint names, so that migrations of all services look alike."""
    return MetaData(naming_convention=NAMING)


class Timestamp(TIMESTAMP):
    """timestamptz, and nothing else: a naive time has no place in a record."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(timezone=True)


TYPE_MAP: dict[Any, Any] = {
    UUID: Uuid(),
    datetime: Timestamp(),
    dict[str, Any]: JSONB(none_as_null=True),
    list[Any]: JSONB(none_as_null=True),
}


class PercentType(Numeric[Any]):
    """0 to 100 with two decimals; a JSON number, where other decimals are strings."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(5, 2)


def text_enum(values: type[StrEnum], *, name: str | None = None) -> Enum:
    """Text with a CHECK: a new value is an additive migration, never a blocking ALTER TYPE."""
    return Enum(
        values,
        native_enum=False,
        create_constraint=True,
        length=40,
        name=name or values.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


def money_columns(name: str) -> Composite[Any]:
    """``<name>_amount`` and ``<name>_currency``, read and written together as Money or None."""
    return composite(
        Money,
        mapped_column(f"{name}_amount", Numeric(20, 4), nullable=True),
        mapped_column(f"{name}_currency", String(3), nullable=True),
        return_none_on=lambda amount, _: amount is None,
    )


def search_column(*columns: str) -> MappedColumn[str]:
    """The lower-cased text of these columns, kept by the database, for a trigram index."""
    parts = " || ' ' || ".join(f"coalesce({column}, '')" for column in columns)
    return mapped_column(Text, Computed(f"lower({parts})", persisted=True), sort_order=99)


def sorted_indexes(table: str, *columns: str) -> list[Index]:
    """One index for each nullable sort column, together with id; nulls count as lowest in both directions."""
    return [Index(f"ix_{table}_{column}_id", text(f"{column} nulls first"), "id") for column in columns]


def reference_indexes(table: str, *columns: str) -> list[Index]:
    """Who refers to this? An index for each reference, without the rows that refer to nothing."""
    return [Index(f"ix_{table}_{column}", column, postgresql_where=text(f"{column} is not null")) for column in columns]


def folded_index(table: str, column: str) -> Index:
    """Who has this text, whatever its case? An index of the lower-cased values there are."""
    return Index(
        f"ix_{table}_{column}_folded", text(f"lower({column})"), postgresql_where=text(f"{column} is not null")
    )


def stored_columns(entity: "type[Record]") -> tuple[str, ...]:
    """The names of the columns that hold what was written; generated ones are the database's own."""
    columns = _STORED.get(entity)
    if columns is None:
        # SQLAlchemy's names are a subclass of str, which JSON encoders refuse as keys.
        columns = _STORED[entity] = tuple(str(c.key) for c in entity.__table__.c if c.computed is None)
    return columns


_STORED: "dict[type[Record], tuple[str, ...]]" = {}


def _columns_of(entity: "type[Record]") -> frozenset[str]:
    columns = _COLUMNS.get(entity)
    if columns is None:
        columns = _COLUMNS[entity] = frozenset(stored_columns(entity))
    return columns


_COLUMNS: "dict[type[Record], frozenset[str]]" = {}


class Record:
    """What every record has. Fields change through verbs and patches; the unit of work stamps version and modifier."""

    __tablename__: str
    __table__: ClassVar[Any]
    record_model: ClassVar[type[BaseModel]]
    """The contract of this record in the API and in events."""

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-20)
    version: Mapped[int] = mapped_column(sort_order=-19)
    created_at: Mapped[datetime] = mapped_column(sort_order=90)
    created_by: Mapped[UUID | None] = mapped_column(sort_order=91)
    modified_at: Mapped[datetime] = mapped_column(sort_order=92)
    modified_by: Mapped[UUID | None] = mapped_column(sort_order=93)

    def __init__(self, **values: Any) -> None:
        """A new record. Columns go straight to where they are kept: nothing listens to what a new record is made of, and
        SQLAlchemy's own way of setting forty attributes takes a fifth of the time of an import. Raises TypeError."""
        kept, columns = self.__dict__, _columns_of(type(self))
        for name, value in values.items():
            if name in columns:
                kept[name] = value
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no {name}")
            elif value is not None:
                setattr(self, name, value)

    @classmethod
    def entity(cls) -> str:
        """The singular snake_case name, as in events, references and privileges."""
        return cls.__tablename__

    @classmethod
    def from_row(cls, values: dict[str, Any]) -> Self:
        """An instance holding what a row holds, outside any session."""
        record: Self = cls.__mapper__.class_manager.new_instance()  # type: ignore[attr-defined]  # set by the declarative base
        record.__dict__.update(values)
        return record


class OwnedRecord(Record):
    """A record with an owner: a user or a team, and the owner's business unit at the time of assignment."""

    owner_type: Mapped[str] = mapped_column(String(8), sort_order=-18)
    owner_id: Mapped[UUID] = mapped_column(sort_order=-17)
    business_unit_id: Mapped[UUID] = mapped_column(sort_order=-16)


class Stateful:
    """A record whose status changes only through the moves of its lifecycle."""

    lifecycle: ClassVar[Lifecycle]
    status: Mapped[str] = mapped_column(String(24), sort_order=-10)
    status_reason: Mapped[str] = mapped_column(String(40), sort_order=-9)

    @property
    def state(self) -> str:
        """``status/status_reason``."""
        return f"{self.status}/{self.status_reason}"

    @classmethod
    def moves_from(cls, values: Mapping[str, Any]) -> list[str]:
        """The moves possible for a row as it is. An entity of which fields too rule moves out says so here, once for its
        commands and for ``allowed_actions``."""
        return cls.lifecycle.actions(f"{values['status']}/{values['status_reason']}")

    def move(self, action: str, reason: str | None = None) -> None:
        """Take one step of the lifecycle; raises ``illegal-transition`` naming what is allowed."""
        possible = self.moves_from(self.__dict__)
        if action not in possible:
            raise IllegalTransition(action, self.status, self.status_reason, possible)
        self.status, self.status_reason = self.lifecycle.after(action, self.state, reason)

    def lapse(self, action: str) -> None:
        """Take a step of the lifecycle that time makes."""
        self.status, self.status_reason = self.lifecycle.after(action, self.state)


class Mergeable(OwnedRecord, Stateful):
    """A record whose place another of its kind may take. Its row stays, to say who did: reads answer 410 ``merged``, lists
    leave it out, and what referred to it moves to the survivor (``crm_kit.records.merging``, ``crm_kit.records.moving``)."""

    merges_from: ClassVar[frozenset[str]]
    """In which statuses a record may be merged into another."""
    survives_in: ClassVar[frozenset[str]]
    """In which statuses it may take the place of another."""
    references: ClassVar[tuple[str, ...]] = ()
    """Columns that refer to other records. One that was merged refers to nobody: nothing waits for it to let go."""

    survivor_id: Mapped[UUID | None] = mapped_column(sort_order=89)

    def merge_into(self, survivor: "Mergeable") -> None:
        """Be no more; the survivor goes on."""
        self.survivor_id = survivor.id
        for column in self.references:
            setattr(self, column, None)


def survivor_of(record: Record) -> UUID | None:
    """Who took this record's place, one step on; None for one that is its own."""
    return record.survivor_id if isinstance(record, Mergeable) else None
