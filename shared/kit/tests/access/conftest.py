"""A database with the directory's tables and those of imports, and a signer that plays identity's part."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from crm_kit.access.directory import Directory, directory_tables
from crm_kit.importing.tables import import_tables
from crm_kit.store.columns import service_metadata
from crm_kit.store.database import Database
from crm_kit.store.notify import Notifier
from crm_kit.store.searching import functions
from crm_local.servers import Servers

from .signer import Signer

METADATA = service_metadata()
directory_tables(METADATA)
# A revocation is kept for as long as an import of its principal waits.
import_tables(METADATA)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
async def database(servers: Servers) -> AsyncIterator[Database]:
    name = f"directory_{secrets.token_hex(6)}"
    operator = await asyncpg.connect(servers.database_url)
    await operator.execute(f"create database {name}")
    address = urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    database = Database(address, pool_size=3, application_name="test")
    async with database.begin() as conn:
        for statement in functions():
            await conn.exec_driver_sql(statement)
        await conn.run_sync(METADATA.create_all)
    yield database
    await database.dispose()
    await operator.execute(f"drop database {name} with (force)")
    await operator.close()


@pytest.fixture
async def db(database: Database) -> Database:
    async with database.begin() as conn:
        await conn.exec_driver_sql(f"truncate {', '.join(METADATA.tables)}")
    return database


@pytest.fixture
async def notifier(db: Database) -> AsyncIterator[Notifier]:
    notifier = Notifier(db.dsn, "test")
    await notifier.start()
    yield notifier
    await notifier.stop()


@pytest.fixture
async def directory(db: Database, notifier: Notifier) -> AsyncIterator[Directory]:
    directory = Directory(db, notifier)
    await directory.start()
    yield directory
    await directory.stop()
