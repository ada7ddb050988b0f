"""Bring a service's database to this build: migrate, then seed. Run before its processes, any number of times."""

import asyncio

from crm_kit.migrations import migrate
from crm_kit.runtime import Service, build_runtime
from crm_kit.settings import Settings
from crm_kit.uow import UnitOfWork


def prepare(service: Service, settings: Settings | None = None) -> None:
    """Migrate and seed; replicas that do so together take turns."""
    settings = settings or Settings()
    migrate(service.migrations, settings.database_url, service.metadata)
    if service.seed is not None:
        asyncio.run(_seed(service, settings))


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
