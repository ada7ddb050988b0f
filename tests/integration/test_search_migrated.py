"""Rows of the previous release are found by folded text after the migration, and so are rows that it writes meanwhile."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import asyncpg
import pytest

import crm_service_mgmt.migrations
from crm_kit.schema import v0010_searching
from crm_kit.schema.migrations import migrate
from crm_kit.schema.revisions import head_of
from crm_kit.store.database import Database
from crm_kit.store.searching import Searched
from crm_kit.testing.databases import Databases
from crm_service_mgmt.app import SERVICE

CUSTOMERS = """
insert into customer_ref (id, version, type, name)
select gen_random_uuid(), 1, 'account', 'Müller ' || n from generate_series(1, 5) n
"""
CASE = """
insert into "case" (id, version, owner_type, owner_id, business_unit_id, status, status_reason, number, title, customer_type,
  customer_id, priority, resolutions, created_at, modified_at)
select id, 1, 'user', id, id, 'active', 'in_progress', $1, 'Überweisung', 'account', id, 'normal', '[]', $2, $2
from gen_random_uuid() id
"""
FOUND = """
select array_agg(search_text || ' ' || search_rule order by search_text) from (
  select search_text, search_rule from customer_ref union all select search_text, search_rule from "case") found
"""


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    url = databases.create("searched")
    yield url
    databases.drop(url)


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package with the migrations of the previous release."""
    package = tmp_path / "previous_service"
    shutil.copytree(Path(crm_service_mgmt.migrations.__path__[0]), package / "migrations")
    (package / "__init__.py").touch()
    files = sorted((package / "migrations" / "versions").glob("[0-9]*.py"))
    [since] = [index for index, file in enumerate(files) if "import v0010_searching" in file.read_text()]
    for file in files[since:]:
        file.unlink()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("previous_service")]:
        monkeypatch.delitem(sys.modules, name)
    head_of.cache_clear()
    return "previous_service.migrations"


async def test_rows_are_done_again_in_chunks(url: str, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v0010_searching, "AT_ONCE", 2)
    assert await asyncio.to_thread(migrate, before, url, SERVICE.metadata)
    conn = await asyncpg.connect(url)
    await conn.execute(CUSTOMERS)
    at = await conn.fetchval("select now()")
    await conn.execute(CASE, "CAS-00001", at)
    assert await asyncio.to_thread(migrate, SERVICE.migrations, url, SERVICE.metadata)
    await conn.execute(CASE, "CAS-00002", at)
    names = [f" muller {n} 2" for n in range(1, 6)]
    assert await conn.fetchval(FOUND) == [*names, " uberweisung cas 00001 2", " uberweisung cas 00002 2"]
    await conn.close()


async def test_what_was_begun_ahead_is_finished(url: str, before: str) -> None:
    assert await asyncio.to_thread(migrate, before, url, SERVICE.metadata)
    conn = await asyncpg.connect(url)
    await conn.execute(CUSTOMERS)
    tables = {"customer_ref": Searched(("name",))}
    db = Database(url, pool_size=1, application_name="test")
    async with db.autocommit() as ahead:
        await v0010_searching.ahead(tables)(ahead)
    await db.dispose()
    assert await conn.fetchval("select count(*) from customer_ref where search_rule = 2") == 5
    # The previous release writes on.
    await conn.execute("update customer_ref set name = 'Ångström', version = 2")
    assert await asyncio.to_thread(migrate, SERVICE.migrations, url, SERVICE.metadata)
    assert await conn.fetchval(FOUND) == [" angstrom 2"] * 5
    await conn.close()


async def test_what_was_done_ahead_makes_nobody_wait(url: str, before: str) -> None:
    """The tables are read and written while the migration ends, which it could not do with stronger locks."""
    assert await asyncio.to_thread(migrate, before, url, SERVICE.metadata)
    conn = await asyncpg.connect(url)
    await conn.execute(CUSTOMERS)
    db = Database(url, pool_size=1, application_name="test")
    async with db.autocommit() as ahead:
        for revision in ("0012_searching", "0014_names_in_order"):
            await import_module(f"crm_service_mgmt.migrations.versions.{revision}").ahead(ahead)
    await db.dispose()
    async with conn.transaction():
        await conn.execute('lock table customer_ref, "case" in row exclusive mode')
        assert await asyncio.to_thread(migrate, SERVICE.migrations, url, SERVICE.metadata)
    await conn.close()
