"""Prepares a service's database for this build: migrates it, then seeds it. It runs before the processes, and may be repeated."""

import asyncio
import signal
import sys

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.network.postgres import Target, told, why
from crm_kit.process.runtime import Service, api_statement_seconds, build_runtime
from crm_kit.schema.migrations import migrate
from crm_kit.schema.revisions import SchemaTooNew
from crm_kit.schema.standing import Standing
from crm_kit.store import sessions
from crm_kit.store.database import Database
from crm_kit.store.notify import LOST
from crm_kit.store.outages import database_away
from crm_kit.store.sessions import Pooled
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.uow import UnitOfWork

log = structlog.get_logger(__name__)


def prepare(service: Service, settings: Settings | None = None) -> None:
    """Migrate and seed a service's database. Replicas that do so together take turns.

    If a newer release has migrated the database and this build can use it, nothing changes, so that a release can be rolled back
    without its database. Raises SystemExit with the reason if this build cannot use the database or cannot reach it.
    """
    settings = settings or read(Settings)
    try:
        if not settings.database_direct_url:
            asyncio.run(_require_session(settings))
        migrated = migrate(service.migrations, settings.session_url, service.metadata)
        if settings.is_pooled:
            asyncio.run(_give_settings(service, settings))
    except (SchemaTooNew, Pooled) as error:
        raise SystemExit(f"{service.name}: {error}") from error
    except (*LOST, DBAPIError) as error:
        if not database_away(error):
            raise
        raise SystemExit(f"{service.name}: the database cannot be used: {told(error)}") from error
    if not migrated:
        log.warning("a newer release has migrated the database; this one runs on it as it is", service=service.name)
    elif service.seed is not None:
        asyncio.run(_seed(service, settings))


async def _require_session(settings: Settings) -> None:
    """Raise Pooled if the connection goes through a pooler."""
    target = Target.of(settings.database_url)
    connection = await target.connect("setup")
    try:
        if await connection.fetchval("select pg_backend_pid()") != connection.get_server_pid():
            raise sessions.unspoken(target)
    finally:
        await connection.close()


async def _give_settings(service: Service, settings: Settings) -> None:
    """Store the settings that the api processes need with their role, because a pooler does not let them set these."""
    wanted = sessions.settings(statement_seconds=api_statement_seconds(settings), by_index=not service.reports)
    connection = await Target.of(settings.session_url).connect(f"{service.name}-setup")
    try:
        role = Target.of(settings.database_url).user or await connection.fetchval("select current_user")
        await sessions.give_to_role(connection, role, wanted)
    finally:
        await connection.close()


def wait_until_prepared(service: Service, settings: Settings | None = None) -> None:
    """Wait until another process has prepared the database for this build, without a time limit.

    Use it with orchestrators that start everything at once. SIGTERM ends the process.
    """
    # The first process of a container ignores signals for which it has no handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        asyncio.run(until_prepared(service, settings or read(Settings)))
    except Pooled as error:
        raise SystemExit(f"{service.name}: {error}") from error


WAIT_SECONDS = 1.0


async def until_prepared(service: Service, settings: Settings) -> None:
    """Check every second whether the database is prepared, and return then. Each new reason to wait is logged once."""
    db = Database(settings.session_url, pool_size=1, application_name=f"{service.name}-wait")
    standing, told = Standing(service), ""
    try:
        while reason := await reason_to_wait(db, standing):
            if reason != told:
                log.info("setup.waiting", service=service.name, reason=reason)
            told = reason
            await asyncio.sleep(WAIT_SECONDS)
    finally:
        await db.dispose()


async def reason_to_wait(db: Database, standing: Standing) -> str:
    """Return what this build lacks in its database, or why it does not answer; empty if the database is prepared."""
    try:
        async with db.autocommit() as conn:
            return "; ".join(await standing.reasons(conn))
    except (SQLAlchemyError, *LOST) as error:
        return f"the database does not answer: {why(error)}"


SEED_LOCK = 7_263_002


async def _seed(service: Service, settings: Settings) -> None:
    assert service.seed is not None
    runtime = build_runtime(service, settings)
    try:
        async with runtime.db.begin() as conn:
            # A setup may take longer than a request, especially on a slow machine.
            await conn.exec_driver_sql("set local lock_timeout = '60s'")
            await conn.exec_driver_sql("set local statement_timeout = 0")
            await conn.exec_driver_sql("set local idle_in_transaction_session_timeout = '5min'")
            await conn.exec_driver_sql(f"select pg_advisory_xact_lock({SEED_LOCK})")
            await runtime.directory.refresh()
            uow = UnitOfWork.for_timer(conn, runtime)
            await service.seed(uow)
            await uow.flush()
            # The processes of the release before may be running.
            await conn.exec_driver_sql("select pg_notify($1, '')", (WAKE_CHANNEL,))
    finally:
        await runtime.db.dispose()
