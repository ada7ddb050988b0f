"""Bring a service's database to this build: migrate, then seed. Run before its processes, any number of times."""

import asyncio
import signal
import sys

import structlog
from sqlalchemy.exc import SQLAlchemyError

from crm_kit.db import Database
from crm_kit.migrations import SchemaTooNew, migrate
from crm_kit.notify import LOST
from crm_kit.runtime import Service, build_runtime
from crm_kit.settings import Settings
from crm_kit.standing import Standing
from crm_kit.uow import UnitOfWork

log = structlog.get_logger(__name__)


def prepare(service: Service, settings: Settings | None = None) -> None:
    """Migrate and seed; replicas that do so together take turns.

    A database that a newer release has migrated is left as it is, if this build runs on it: a release can be rolled back
    without its database. Ends the process with the reason otherwise.
    """
    settings = settings or Settings()
    try:
        migrated = migrate(service.migrations, settings.database_url, service.metadata)
    except SchemaTooNew as error:
        raise SystemExit(f"{service.name}: {error}") from error
    if not migrated:
        log.warning("a newer release has migrated the database; this one runs on it as it is", service=service.name)
    elif service.seed is not None:
        asyncio.run(_seed(service, settings))


def wait_until_prepared(service: Service, settings: Settings | None = None) -> None:
    """Return when the database holds what this build needs, however long another process takes for that.

    For orchestrators that start everything at once. SIGTERM ends the process.
    """
    # The first process of a container is deaf to signals that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    asyncio.run(until_prepared(service, settings or Settings()))


WAIT_SECONDS = 1.0


async def until_prepared(service: Service, settings: Settings) -> None:
    """Look again and again; each new reason to wait is logged once."""
    db = Database(settings.database_url, pool_size=1, application_name=f"{service.name}-wait")
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
    """What a build still lacks in its database; empty when nothing."""
    try:
        async with db.autocommit() as conn:
            return "; ".join(await standing.reasons(conn))
    except (SQLAlchemyError, *LOST) as error:
        return f"the database does not answer ({type(error).__name__})"


SEED_LOCK = 7_263_002


async def _seed(service: Service, settings: Settings) -> None:
    assert service.seed is not None
    runtime = build_runtime(service, settings)
    try:
        async with runtime.db.begin() as conn:
            await conn.exec_driver_sql("set local lock_timeout = '60s'")
            await conn.exec_driver_sql(f"select pg_advisory_xact_lock({SEED_LOCK})")
            await runtime.directory.refresh()
            uow = UnitOfWork.for_timer(conn, runtime)
            await service.seed(uow)
            await uow.flush()
    finally:
        await runtime.db.dispose()
