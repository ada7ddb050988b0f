"""One database per service and test process, prepared once; after each test it is put back to what it was."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from crm_kit.db import Database
from crm_kit.runtime import Service
from crm_kit.settings import Settings
from crm_kit.setup import prepare

PRISTINE = "pristine"


class Databases:
    """The databases of this process, each made when a test first asks for it."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._made: dict[str, ServiceDatabase] = {}

    def of(self, service: Service) -> "ServiceDatabase":
        """The service's database, migrated and seeded."""
        made = self._made.get(service.name)
        if made is None:
            name = f"test_{service.name}_{secrets.token_hex(6)}"
            made = ServiceDatabase(service, self.create(name))
            _elsewhere(made.prepare)
            self._made[service.name] = made
        return made

    def create(self, name: str) -> str:
        """An empty database; returns its URL. Whoever makes one under a name of its own drops it again."""
        _run(self._server_url, f'create database "{name}"')
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        _run(self._server_url, f'drop database "{urlsplit(url).path[1:]}" with (force)')

    def close(self) -> None:
        """Drop the databases of the services."""
        for made in self._made.values():
            self.drop(made.url)
        self._made.clear()


class ServiceDatabase:
    """A service's database and what it holds before any test."""

    def __init__(self, service: Service, url: str) -> None:
        self.service, self.url = service, url
        self._tables: list[str] = []
        self._fingerprint = ""
        self._restore: list[str] = []

    def prepare(self) -> None:
        """Migrate and seed as a deployment does; a miniature service without migrations gets its tables as they are mapped."""
        if self.service.migrations:
            prepare(self.service, settings_for(self.service, self.url))
        else:
            asyncio.run(self._create_tables())
        asyncio.run(self._keep())

    async def _create_tables(self) -> None:
        database = Database(self.url, pool_size=1, application_name="test setup")
        async with database.begin() as conn:
            await conn.exec_driver_sql("create extension if not exists pg_trgm")
            await conn.run_sync(self.service.metadata.create_all)
        await database.dispose()

    async def _keep(self) -> None:
        conn = await asyncpg.connect(self.url)
        present = {row["tablename"] for row in await conn.fetch(TABLES)}
        # In the order of their references, so that restoring meets no missing target.
        self._tables = [table.name for table in self.service.metadata.sorted_tables if table.name in present]
        await conn.execute(f"create schema {PRISTINE}")
        for table in self._tables:
            await conn.execute(f'create table {PRISTINE}."{table}" as table public."{table}"')
            if await conn.fetchval(f'select exists (select from "{table}")'):
                columns = await conn.fetchval(WRITABLE, table)
                self._restore.append(
                    f'insert into "{table}" ({columns}) overriding system value'
                    f' select {columns} from {PRISTINE}."{table}" on conflict do nothing'
                )
        self._fingerprint = " union all ".join(
            f"select '{table}' as name, md5(string_agg(t::text, '' order by t::text)) as rows from {{0}}.\"{table}\" t"
            for table in self._tables
        )
        await conn.close()

    async def restore(self) -> None:
        """Put back what tests have changed: nothing but a comparison when they changed nothing."""
        conn = await asyncpg.connect(self.url)
        try:
            changed = [row["name"] for row in await conn.fetch(self._changes())]
            if changed:
                names = ", ".join(f'"{name}"' for name in changed)
                await conn.execute(";".join([f"truncate {names} cascade", *self._restore]))
        finally:
            await conn.close()

    def _changes(self) -> str:
        now, before = (self._fingerprint.format(schema) for schema in ("public", PRISTINE))
        return f"select name from ({now} except ({before})) changed"


TABLES = "select tablename from pg_tables where schemaname = 'public'"
WRITABLE = """
select string_agg(quote_ident(column_name), ', ' order by ordinal_position) from information_schema.columns
where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'
"""


def settings_for(service: Service, database_url: str, jwks_url: str = "", **more: object) -> Settings:
    """Settings of one process of a service under test; ``more`` by environment name, such as ``CRM_ROLE="worker"``."""
    return Settings.model_validate(
        {
            "CRM_SERVICE": service.name,
            "CRM_SECRET": "a secret that only tests know",
            "DATABASE_URL": database_url,
            "CRM_JWKS_URL": jwks_url,
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
    """Run in a thread: preparing a service starts an event loop of its own, and this one may have one running."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()
