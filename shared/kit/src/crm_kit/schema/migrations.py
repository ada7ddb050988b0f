"""Schema migrations of services, with alembic. They expand before they contract: the previous release runs on a new schema."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, TypeVar

import structlog
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import CreateForeignKeyOp, CreateTableOp, UpgradeOps
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DBAPIError

from crm_kit import clock
from crm_kit.schema import adoption, v0001, v0005_partitions
from crm_kit.schema.patience import LOCK_MS, PATIENCE_SECONDS, PAUSE_SECONDS, take_turn
from crm_kit.schema.revisions import RAISE_COMPATIBLE, SchemaTooNew, directory_of, head_of, refusal_of, revision_of
from crm_kit.store.database import Database
from crm_kit.store.outages import database_busy

LOCK = 7_263_001
ATTEMPTS_TOLD = 20
"""One of this many attempts is logged."""
_ALEMBIC = Lock()
"""Alembic keeps its state in globals, so a process runs one migration at a time, also of different databases."""

log = structlog.get_logger(__name__)
T = TypeVar("T")


def config_of(package: str) -> Config:
    """Return the alembic configuration of a service's migrations package, such as ``crm_sales.migrations``."""
    config = Config()
    config.set_main_option("script_location", str(directory_of(package)))
    config.set_main_option("path_separator", "os")
    return config


def migrate(package: str, database_url: str, metadata: MetaData) -> bool:
    """Migrate a database to the newest revision. Returns False if a newer release has migrated it further already.

    Replicas that start together take turns. Raises SchemaTooNew if this build cannot use the newer schema, and the database's
    error if locks are not free within ``PATIENCE_SECONDS``.
    """
    return asyncio.run(_migrate(package, database_url, metadata))


async def _migrate(package: str, database_url: str, metadata: MetaData) -> bool:
    db = Database(database_url, pool_size=1, application_name="migrate")
    try:
        await adoption.before_migrating(db, LOCK)
        await _again_while_busy(partial(_go_ahead, db, package))
        is_newest = await _again_while_busy(partial(_upgrade_once, db, package, metadata))
        if is_newest:
            await adoption.after_migrating(db, LOCK)
        return is_newest
    finally:
        await db.dispose()


async def _again_while_busy(attempt: Callable[[], Awaitable[T]]) -> T:
    """Make an attempt, and repeat it while the database is busy. Raises the last error after ``PATIENCE_SECONDS``.

    Writers take their locks in a different order, so deadlocks and timeouts are possible. An attempt begins with what the one
    before it has left.
    """
    ends, count = clock.monotonic() + PATIENCE_SECONDS, 0
    while True:
        try:
            return await attempt()
        except DBAPIError as error:
            if clock.monotonic() >= ends or not database_busy(error):
                raise
            if count % ATTEMPTS_TOLD == 0:
                log.warning("migration.again", attempt=count + 1, error=type(error.orig).__name__)
        count += 1
        await asyncio.sleep(PAUSE_SECONDS)


async def _go_ahead(db: Database, package: str) -> None:
    """Run ``ahead`` of the missing revisions (``crm_kit.schema.ahead``). A new database needs nothing."""
    async with adoption.alone(db, LOCK) as conn:
        if not (revision := await revision_of(conn)):
            return
        scripts = ScriptDirectory.from_config(config_of(package)).walk_revisions()
        missing = sorted((script for script in scripts if script.revision > revision), key=lambda one: one.revision)
        for script in missing:
            if (ahead := getattr(script.module, "ahead", None)) is not None:
                await ahead(conn)


async def _upgrade_once(db: Database, package: str, metadata: MetaData) -> bool:
    """Run all missing revisions in one transaction. Returns False if the database is further already.

    It waits for each lock for at most half a second. Then it fails and releases its locks, so that waiting processes go first.
    """
    async with db.begin() as conn:
        await take_turn(conn, f"select pg_try_advisory_xact_lock({LOCK})")
        await conn.exec_driver_sql(f"set local lock_timeout = {LOCK_MS}")
        if (revision := await revision_of(conn)) > head_of(package):
            if refusal := await refusal_of(conn, package, revision):
                raise SchemaTooNew(refusal)
            return False
        await conn.run_sync(v0005_partitions.lock_whole)
        await conn.run_sync(_upgrade, package, metadata)
        # In the same table as the revision, so that a build that does not know this revision can read it.
        await conn.exec_driver_sql("alter table alembic_version add column if not exists compatible_from varchar(32)")
        await conn.exec_driver_sql(RAISE_COMPATIBLE, (_compatible_from(package),))
        return True


def _compatible_from(package: str) -> str:
    """Return the oldest revision whose build runs on the newest schema.

    A migration that removes what older builds need has ``compatible_from = "<revision>"``, the revision of the first build that
    does not need it. All other migrations only add.
    """
    scripts = ScriptDirectory.from_config(config_of(package))
    told = [(script.revision, getattr(script.module, "compatible_from", None)) for script in scripts.walk_revisions()]
    return max((since for _, since in told if since), default=min(revision for revision, _ in told))


def revision_with(package: str, step: ModuleType) -> str:
    """Return the revision of a service that calls a step of the kit's own tables (``crm_kit.schema``)."""
    scripts = ScriptDirectory.from_config(config_of(package)).walk_revisions()
    return next(script.revision for script in scripts if any(used is step for used in vars(script.module).values()))


def _upgrade(connection: Connection, package: str, metadata: MetaData) -> None:
    config = config_of(package)
    scripts = ScriptDirectory.from_config(config)

    def steps(revision: Any, context: MigrationContext) -> Any:
        return scripts._upgrade_revs("head", revision)

    with _ALEMBIC, EnvironmentContext(config, scripts, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection, target_metadata=metadata)
        environment.run_migrations()


def write_revision(package: str, database_url: str, metadata: MetaData, title: str) -> Path:
    """Write the next revision, with everything that a migrated database lacks. Returns its path. It is a tool for developers.

    The first revision begins with the kit's own tables (``crm_kit.schema``). Add sequences, extensions and data by hand.
    """
    scripts = ScriptDirectory.from_config(config_of(package))
    before = scripts.get_current_head()
    number = f"{int(before or 0) + 1:04d}"

    def render(connection: Connection) -> str:
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
        with Operations.context(context):
            if before is None:
                v0001.upgrade()
        steps = produce_migrations(context, metadata).upgrade_ops
        assert steps is not None
        steps.ops += _keys_in_a_circle(steps, metadata)
        return render_python_code(steps, migration_context=context)

    async def compare() -> str:
        db = Database(database_url, pool_size=1, application_name="revise")
        try:
            async with db.connect(autocommit=False) as conn:
                found = await conn.run_sync(render)
                await conn.rollback()
                return found
        finally:
            await db.dispose()

    steps = asyncio.run(compare())
    first = "v0001.upgrade()\n    " if before is None else ""
    path = directory_of(package) / "versions" / f"{number}_{title.lower().replace(' ', '_')}.py"
    path.write_text(TEMPLATE.format(title=title, number=number, before=before, steps=first + steps))
    return path


def _keys_in_a_circle(steps: UpgradeOps, metadata: MetaData) -> list[CreateForeignKeyOp]:
    """Return the foreign keys with ``use_alter``. They are not created with their tables, but after all tables."""
    made = [metadata.tables[step.table_name] for step in steps.ops if isinstance(step, CreateTableOp)]
    found = [
        CreateForeignKeyOp.from_constraint(key)
        for table in made
        for key in table.foreign_key_constraints
        if key.use_alter
    ]
    for step in found:
        del step.kw["use_alter"]
    return sorted(found, key=lambda step: (step.source_table, step.local_cols))


TEMPLATE = '''"""{title}."""

import crm_kit.store.columns
import sqlalchemy as sa
from alembic import op
from crm_kit.store.outages import database_busy
from crm_kit.schema import v0001, v0005_partitions
from sqlalchemy.dialects import postgresql

revision = "{number}"
down_revision = {before!r}


def upgrade() -> None:
    {steps}
'''
