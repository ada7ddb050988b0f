"""The definition of a service, and the runtime of one of its processes."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from sqlalchemy import MetaData, Select, Uuid, cast, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import configure_mappers

from crm_kit import clock
from crm_kit.access.directory import Directory
from crm_kit.access.tokens import TokenVerifier, http_keys
from crm_kit.configuration.settings import Settings
from crm_kit.process.memory import HOUSEKEEPER
from crm_kit.process.vitals import KEYS_AGE, watched_loop, watched_pool
from crm_kit.signals.metrics import Readings
from crm_kit.store.database import Database
from crm_kit.store.notify import Notifier
from crm_kit.store.numbers import Numbers
from crm_kit.store.presenter import ReferenceName
from crm_kit.store.record import OwnedRecord, Record

NameLookup = Callable[[AsyncConnection, set[tuple[str, UUID]]], Awaitable[Mapping[UUID, ReferenceName]]]
"""Reads names, owners and units of referenced records in one statement."""

if TYPE_CHECKING:
    from crm_kit.work.uow import UnitOfWork

PRINCIPALS = frozenset({"user", "team", "client"})
SYSTEM = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


WORKING = 2
"""Connections of a worker that runs in the process of an api."""

STATEMENT_PART = 0.8
"""The part of a hop that one statement may take. The rest is enough to answer, and the connection stays usable."""


def system_id(service: str) -> UUID:
    """The stable id of a service's consumers and timers as actors."""
    return uuid5(SYSTEM, f"system:{service}")


async def no_names(conn: AsyncConnection, wanted: set[tuple[str, UUID]]) -> Mapping[UUID, ReferenceName]:
    """A look-up for services whose records show no names of others."""
    return {}


def local_names(sources: Mapping[str, tuple[type[Record], str]]) -> NameLookup:
    """Names from this service's own tables: entity name to its class and the column that holds the name."""

    async def look_up(conn: AsyncConnection, wanted: set[tuple[str, UUID]]) -> Mapping[UUID, ReferenceName]:
        parts: list[Select[Any]] = []
        for kind, (entity, column) in sources.items():
            ids = [record_id for wanted_kind, record_id in wanted if wanted_kind == kind]
            if ids:
                table = entity.__table__
                owned = issubclass(entity, OwnedRecord)
                owner = table.c.owner_id if owned else cast(None, Uuid)
                unit = table.c.business_unit_id if owned else cast(None, Uuid)
                parts.append(select(table.c.id, table.c[column], owner, unit).where(table.c.id.in_(ids)))
        if not parts:
            return {}
        found = await conn.execute(union_all(*parts))
        return {row[0]: ReferenceName(row[1], owner=row[2], unit=row[3]) for row in found}

    return look_up


async def principal_names(conn: AsyncConnection, wanted: set[tuple[str, UUID]]) -> Mapping[UUID, ReferenceName]:
    """Names of users, teams and API clients, for records that refer to them beside their owner."""
    ids = [record_id for kind, record_id in wanted if kind in PRINCIPALS]
    if not ids:
        return {}
    rows: list[Any] = list(
        await conn.exec_driver_sql("select id, name, deleted from principal_ref where id = any($1::uuid[])", (ids,))
    )
    return {row[0]: ReferenceName(row[1], row[2]) for row in rows}


@dataclass(frozen=True, slots=True)
class Service:
    """The definition of a service. ``name`` is the short one used in event types, queues and databases."""

    name: str
    title: str
    metadata: MetaData
    migrations: str
    """The package that holds the alembic versions, such as ``crm_sales.migrations``."""
    entities: tuple[type[Record], ...] = ()
    seed: "Seed | None" = None
    """Creates missing initial data of an organisation; runs after each migration."""
    name_lookup: NameLookup = no_names
    reports: bool = False
    """Its api aggregates whole tables, for which a scan is fastest."""


Seed = Callable[["UnitOfWork"], Awaitable[None]]


@dataclass(slots=True)
class Runtime:
    """The process-wide parts a unit of work needs."""

    service: str
    settings: Settings
    db: Database
    notifier: Notifier
    directory: Directory
    tokens: TokenVerifier
    name_lookup: NameLookup = no_names
    entities: tuple[type[Record], ...] = ()
    """The kinds of record of the service."""
    validate_events: bool = False
    """Validate every event against its contract before it is written; on in tests (``CRM_VALIDATE_EVENTS``)."""
    numbers: Numbers = field(default_factory=Numbers)
    extras: dict[str, Any] = field(default_factory=dict)
    """Long-lived objects of the service, such as a cache of its settings."""
    checks: list[Callable[[], list[str]]] = field(default_factory=list)
    """Further checks of the readiness of this process."""
    work: "Runtime | None" = None
    """What ``working_runtime`` returns, where it was made before a fork."""
    access: "Runtime | None" = None
    """What ``access_runtime`` returns, where it was made before a fork."""


def api_statement_seconds(settings: Settings) -> float:
    """Seconds that a statement of an api may take."""
    return settings.hop_seconds * STATEMENT_PART


def build_database(service: Service, settings: Settings) -> Database:
    """The pool of one process of a service."""
    is_api = settings.serves
    return Database(
        # A worker's connections are few, and hold locks and long transactions.
        settings.database_url if is_api else settings.session_url,
        # A worker's last connection is for access events: ``access_runtime``.
        pool_size=settings.connections if is_api else max(1, settings.connections - 1),
        application_name=f"{service.name}-{settings.role}",
        statement_seconds=api_statement_seconds(settings) if is_api else 0,
        by_index=not (service.reports and is_api),
        is_pooled=is_api and settings.is_pooled,
        minds_pooler=not settings.database_direct_url,
    )


def build_runtime(service: Service, settings: Settings, db: Database | None = None) -> Runtime:
    """The runtime, not yet started; with its own pool unless one is given."""
    # A record may come from a row before any other use of its class, and the ORM would configure itself too late.
    configure_mappers()
    db = db or build_database(service, settings)
    notifier = Notifier(settings.session_url, f"{service.name}-{settings.role}-notify")
    directory = Directory(db, notifier)
    return Runtime(
        service=service.name,
        settings=settings,
        db=db,
        notifier=notifier,
        directory=directory,
        tokens=TokenVerifier(directory, db, http_keys(settings.jwks_url)),
        name_lookup=service.name_lookup,
        entities=service.entities,
        validate_events=os.environ.get("CRM_VALIDATE_EVENTS") == "1",
    )


def working_runtime(runtime: Runtime) -> Runtime:
    """The runtime of a worker in the process of an api. Its connections are not used by requests, and no deadline ends them. The
    caller must dispose of it."""
    if runtime.work is not None:
        return runtime.work
    name = f"{runtime.service}-{runtime.settings.role}-work"
    db = Database(runtime.settings.session_url, pool_size=WORKING, application_name=name, by_index=True)
    # The worker looks for work all the time, and the api does not.
    runtime.db.neighbour = db
    return replace(runtime, db=db)


def access_runtime(runtime: Runtime) -> Runtime:
    """The runtime for access events, with its own connection, so that they wait for no other work. The caller must dispose
    of it."""
    if runtime.access is not None:
        return runtime.access
    name = f"{runtime.service}-{runtime.settings.role}-access"
    db = Database(runtime.settings.session_url, pool_size=1, application_name=name, by_index=True)
    db.neighbour = runtime.db
    return replace(runtime, db=db)


def _keys_age(runtime: Runtime) -> Readings:
    confirmed_at = runtime.tokens.confirmed_at
    return [] if confirmed_at is None else [((), clock.monotonic() - confirmed_at)]


@asynccontextmanager
async def open_runtime(
    service: Service, settings: Settings, db: Database | None = None, prepared: Runtime | None = None
) -> AsyncIterator[Runtime]:
    """Connect, follow identity, and close again. A pool that was given stays open. The runtime is built unless prepared."""
    runtime = prepared or build_runtime(service, settings, db)
    await runtime.notifier.start()
    await runtime.directory.start()
    # A worker is shown no token.
    if settings.serves:
        await runtime.tokens.start()
    try:
        async with watched_loop(), HOUSEKEEPER.watching():
            with watched_pool("main", runtime.db), KEYS_AGE.reading(lambda: _keys_age(runtime)):
                yield runtime
    finally:
        await runtime.tokens.stop()
        await runtime.directory.stop()
        await runtime.notifier.stop()
        if db is None:
            await runtime.db.dispose()
