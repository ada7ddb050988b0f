"""Copies get the epochs of positions while the previous release runs or a dump reads them.

A timeline gets its index.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

import crm_activities.migrations
from crm_activities.app import SERVICE
from crm_activities.consumers import CONSUMERS
from crm_contracts.sales.account import ACCOUNT
from crm_kit.copies.projected import question_of
from crm_kit.schema import v0006_own_rows
from crm_kit.schema.migrations import migrate
from crm_kit.schema.revisions import head_of
from crm_kit.schema.standing import Standing
from crm_kit.store.database import Database
from crm_kit.store.record import new_id
from crm_kit.testing.databases import Databases

# The statements of the previous release, which write no epoch.
COPY = """
insert into record_ref as t (id, version, type, name) select id, 3, 'lead', 'Ann' from unnest($1::uuid[]) id
on conflict (id) do update set version = t.version + 1
"""
POSITION = """
insert into inbox_position (consumer, source, entity, version, epoch)
select 'activities.refs', '/crm/sales', id, $2, $3 from unnest($1::uuid[]) id
"""
MOVE = "update inbox_position set version = version + 1 where entity = any($1::uuid[])"
WAITS = """
select exists (select from pg_locks l join pg_stat_activity a using (pid)
  where not granted and a.application_name = 'migrate')
"""
WAITS_FOR = """
select exists (select from pg_locks l join pg_stat_activity a using (pid)
  where not granted and a.application_name = 'migrate' and relation = to_regclass($1))
"""


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    url = databases.create("own_rows")
    yield url
    databases.drop(url)


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package with the migrations of the previous release."""
    package = tmp_path / "previous_activities"
    shutil.copytree(Path(crm_activities.migrations.__path__[0]), package / "migrations")
    (package / "__init__.py").touch()
    files = sorted((package / "migrations" / "versions").glob("[0-9]*.py"))
    [since] = [index for index, file in enumerate(files) if "import v0006_own_rows" in file.read_text()]
    for file in files[since:]:
        file.unlink()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("previous_activities")]:
        monkeypatch.delitem(sys.modules, name)
    head_of.cache_clear()
    return "previous_activities.migrations"


async def to_previous(url: str, package: str) -> None:
    assert await asyncio.to_thread(migrate, package, url, SERVICE.metadata)


async def to_this(url: str) -> None:
    assert await asyncio.to_thread(migrate, SERVICE.migrations, url, SERVICE.metadata)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    conn = await asyncpg.connect(url, server_settings={"timezone": "UTC", "lock_timeout": "60s"})
    yield conn
    await conn.close()


async def is_ready(url: str) -> None:
    db = Database(url, pool_size=1, application_name="test")
    async with db.autocommit() as checked:
        assert await Standing(SERVICE).reasons(checked) == []
    await db.dispose()


async def until(conn: asyncpg.Connection, question: str, *parameters: object) -> None:
    async with asyncio.timeout(120):
        while not await conn.fetchval(question, *parameters):  # noqa: ASYNC110  # it happens in the database
            await asyncio.sleep(0.01)


async def test_whoever_writes_goes_on_while_the_migration_waits_for_a_dump(url: str, before: str) -> None:
    await to_previous(url, before)
    ids = [new_id() for _ in range(3)]
    async with connected(url) as dump, connected(url) as worker, connected(url) as conn:
        await worker.execute(COPY, ids)
        reading = dump.transaction()
        await reading.start()
        await dump.fetch("select from record_ref")
        migrating = asyncio.create_task(to_this(url))
        for _ in range(3):
            await until(conn, WAITS_FOR, "record_ref")
            await worker.execute(COPY, ids)
        assert not migrating.done()
        await reading.commit()
        await migrating
        assert await conn.fetchval("select min(version) from record_ref") == 6
    await is_ready(url)


async def test_copies_are_stamped_a_part_at_a_time_beside_whoever_writes(
    url: str, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v0006_own_rows, "AT_ONCE", 10)
    await to_previous(url, before)
    ids = sorted(new_id() for _ in range(35))
    restored, untouched, behind = ids[:25], ids[25:30], ids[30:]
    async with connected(url) as holder, connected(url) as worker, connected(url) as conn:
        await worker.execute(COPY, ids)
        await worker.execute(POSITION, restored, 3, 7)
        await worker.execute(POSITION, untouched, 3, 0)
        # The copy is of a later event than the position.
        await worker.execute(POSITION, behind, 2, 7)
        holding = holder.transaction()
        await holding.start()
        await holder.execute(COPY, ids[15:16])
        migrating = asyncio.create_task(to_this(url))
        await until(conn, WAITS)
        for statement in (COPY, MOVE):
            await worker.execute(statement, [*ids[:10], *ids[20:]])
        assert not migrating.done()
        await holding.rollback()
        await migrating
        stamped: dict[UUID, int] = dict(await conn.fetch("select id, epoch from record_ref"))
        assert await conn.fetchval("select epoch from inbox_epoch where consumer = 'activities.refs'") == 7
    assert {id_ for id_, epoch in stamped.items() if epoch == 7} == set(restored)
    await is_ready(url)


async def test_the_newest_version_of_a_timeline_is_found_by_its_index(url: str) -> None:
    await to_this(url)
    question = question_of(CONSUMERS.groups["activities.timeline"], ACCOUNT)
    async with connected(url) as conn:
        busy = new_id()
        await conn.execute(
            "insert into timeline_event (record_id, at, id, type, actor, version)"
            " select $1, now() + n * interval '1 s', gen_random_uuid(), 'crm.sales.account.updated.v1', 'user', n"
            " from generate_series(1, 20000) n",
            busy,
        )
        await conn.execute("analyze timeline_event")
        asked = (["activities.timeline"], ["/crm/sales"], [busy], [20001])
        plan = "\n".join(row[0] for row in await conn.fetch(f"explain (analyze, timing off) {question}", *asked))
        [missing] = await conn.fetch(question, *asked)
    assert "ix_timeline_event_record_id_version" in plan, plan
    [line] = [line for line in plan.splitlines() if "ix_timeline_event_record_id_version" in line]
    assert "rows=1 " in line.rpartition("actual")[2] or "rows=1.00 " in line.rpartition("actual")[2], plan
    assert missing["version"] == 20001


async def test_an_index_whose_making_was_ended_is_made_again(url: str, before: str) -> None:
    await to_previous(url, before)
    async with connected(url) as conn:
        await conn.execute("alter table timeline_event add column version integer default 0 not null")
        await conn.execute("create index ix_timeline_event_record_id_version on timeline_event (record_id)")
        # PostgreSQL leaves this after a canceled command.
        await conn.execute(
            "update pg_index set indisvalid = false where indexrelid = 'ix_timeline_event_record_id_version'::regclass"
        )
        await to_this(url)
        found = await conn.fetchval("select pg_get_indexdef('ix_timeline_event_record_id_version'::regclass)")
    assert found.endswith("(record_id, version)")
    await is_ready(url)
