"""One database per service and test process. It is prepared once and restored after each test."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from crm_kit.configuration.settings import Settings
from crm_kit.process.runtime import Service
from crm_kit.schema.setup import prepare
from crm_kit.store.database import Database
from crm_kit.store.searching import functions, installing


class Databases:
    """The databases of this process. Each is created when a test first uses it."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._made: dict[str, ServiceDatabase] = {}

    def of(self, service: Service) -> "ServiceDatabase":
        """Return the service's database, migrated and seeded."""
        made = self._made.get(service.name)
        if made is None:
            name = f"test_{service.name}_{secrets.token_hex(6)}"
            made = ServiceDatabase(service, self.create(name))
            _elsewhere(made.prepare)
            self._made[service.name] = made
        return made

    def create(self, name: str) -> str:
        """Create an empty database and return its URL. The caller must drop it."""
        _run(self._server_url, f'create database "{name}"')
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    def drop(self, url: str) -> None:
        """Drop a database, even if there are connections to it."""
        _run(self._server_url, f'drop database "{urlsplit(url).path[1:]}" with (force)')

    async def close(self) -> None:
        """Drop the databases of the services."""
        for made in self._made.values():
            await made.close()
            self.drop(made.url)
        self._made.clear()


class ServiceDatabase:
    """A service's database, and its content before any test."""

    def __init__(self, service: Service, url: str) -> None:
        self.service, self.url = service, url
        self._tables: list[str] = []
        self._conn: asyncpg.Connection | None = None
        self._look = ""
        self._pristine: dict[str, str] = {}
        self._refill: dict[str, str] = {}

    def prepare(self) -> None:
        """Migrate and seed the database as a deployment does. A miniature service without migrations gets its mapped tables."""
        if self.service.migrations:
            prepare(self.service, settings_for(self.service, self.url))
        else:
            asyncio.run(self._create_tables())
        asyncio.run(self._keep())

    async def _create_tables(self) -> None:
        database = Database(self.url, pool_size=1, application_name="test setup")
        async with database.begin() as conn:
            await conn.exec_driver_sql("create extension if not exists pg_trgm")
            for statement in functions():
                await conn.exec_driver_sql(statement)
            await conn.run_sync(self.service.metadata.create_all)
            for statement in installing(self.service.metadata):
                await conn.exec_driver_sql(statement)
        await database.dispose()

    async def _keep(self) -> None:
        conn = await asyncpg.connect(self.url)
        present = {row["tablename"] for row in await conn.fetch(TABLES)}
        # In the order of their references, so that references have their targets when rows are restored.
        self._tables = [table.name for table in self.service.metadata.sorted_tables if table.name in present]
        filled = [table for table in self._tables if await conn.fetchval(f'select exists (select from "{table}")')]
        await conn.execute(f"create schema {PRISTINE}")
        for table in self._tables:
            await conn.execute(f'create table {PRISTINE}."{table}" as table public."{table}"')
        for table in filled:
            columns = await conn.fetchval(WRITABLE, table)
            self._refill[table] = (
                f'insert into "{table}" ({columns}) overriding system value'
                f' select {columns} from {PRISTINE}."{table}" on conflict do nothing'
            )
        self._look = " union all ".join((DIGEST if table in filled else ANY).format(table) for table in self._tables)
        self._pristine = {row["name"]: row["rows"] for row in await conn.fetch(self._look)}
        await conn.close()

    async def restore(self) -> None:
        """Restore the tables that tests have changed. One query finds them."""
        if self._conn is None or self._conn.is_closed():
            self._conn = await asyncpg.connect(self.url)
        found = {row["name"]: row for row in await self._conn.fetch(self._look)}
        changed = [name for name in self._tables if found[name]["rows"] != self._pristine[name]]
        if changed:
            sizes = {name: found[name]["bytes"] for name in changed}
            await self._conn.execute(";".join(self._emptying(changed, sizes)))

    async def close(self) -> None:
        """Close the connection that restores."""
        if self._conn is not None:
            await self._conn.close()
            self._conn = None

    def _emptying(self, changed: list[str], sizes: dict[str, int]) -> list[str]:
        large = ", ".join(f'"{name}"' for name in changed if sizes[name] > MOST_BYTES_TO_DELETE)
        if large:
            # Referring tables are truncated, too, so all tables are refilled.
            names = ", ".join(f'"{name}"' for name in changed)
            return [f"truncate {names} cascade", *self._refill.values()]
        refilled = list(self._refill) if self._refill.keys() & set(changed) else []
        emptied = [name for name in self._tables if name in changed or name in refilled]
        # In one statement, because some tables refer to each other, and references are checked at the end of a statement.
        parts = ", ".join(f'd{number} as (delete from "{name}")' for number, name in enumerate(emptied))
        return [f"with {parts} select", *(self._refill[name] for name in refilled)]


HOP_SECONDS = 60
"""The deadline of services under test. A machine may stall for seconds, and requests that should succeed must not time out. A
test of timeouts sets its own limit."""
PRISTINE = "pristine"
MOST_BYTES_TO_DELETE = 1024 * 1024
"""Bytes of a table up to which its rows are deleted. Truncation creates new files, which takes longer for a few rows."""
ANY = "select '{0}' as name, exists (select from \"{0}\")::text as rows, pg_table_size('\"{0}\"') as bytes"
DIGEST = (
    "select '{0}' as name, (select md5(string_agg(t::text, '' order by t::text)) from \"{0}\" t) as rows,"
    " pg_table_size('\"{0}\"') as bytes"
)
TABLES = "select tablename from pg_tables where schemaname = 'public'"
WRITABLE = """
select string_agg(quote_ident(column_name), ', ' order by ordinal_position) from information_schema.columns
where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'
"""


def settings_for(service: Service, database_url: str, jwks_url: str = "", **more: object) -> Settings:
    """Return the settings of a process of a service under test. ``more`` has environment names, such as ``CRM_ROLE="worker"``."""
    return Settings.model_validate(
        {
            "CRM_SERVICE": service.name,
            "CRM_SECRET": "a secret that only tests know",
            "DATABASE_URL": database_url,
            "CRM_JWKS_URL": jwks_url,
            "CRM_HOP_SECONDS": HOP_SECONDS,
            **more,
        }
    )


def _run(url: str, statement: str) -> None:
    async def run() -> None:
        conn = await asyncpg.connect(url)
        try:
            await conn.execute(statement)
        finally:
            await conn.close()

    _elsewhere(lambda: asyncio.run(run()))


def _elsewhere(work: Callable[[], None]) -> None:
    """Run in another thread, because the work starts an event loop and this thread may already run one."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()
