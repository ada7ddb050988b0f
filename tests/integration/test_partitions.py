"""A database of the previous release, with data and a writer, gets partitions. That release still runs on it."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import crm_sales.migrations
from crm_kit import clock
from crm_kit.events.epochs import begin_epoch
from crm_kit.schema import adoption, v0004_epochs
from crm_kit.schema.migrations import migrate, revision_with
from crm_kit.schema.revisions import SchemaTooNew, head_of
from crm_kit.schema.standing import Standing
from crm_kit.schema.v0005_partitions import INDEXES
from crm_kit.store.database import Database
from crm_kit.store.record import new_id
from crm_kit.testing.databases import Databases
from crm_sales.app import SERVICE

# The statements of the previous release.
WRITE = """
with event as (select * from unnest($1::uuid[], $2::uuid[], $3::int[]) as e (id, entity_id, version)),
audited as (insert into audit (entity_id, version, entity_type, fact, at, actor, event_id, correlation_id, changes)
  select entity_id, version, 'lead', 'updated', $4, 'system:sales', id, 'c', '{}' from event),
sent as (insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, traceparent, created_at)
  select id, 3, 'lead', entity_id, version, 'crm.sales.lead.updated.v1', 'x', null, $4 from event order by version)
select count(*) from event
"""
READ = """
select o.seq, o.id from outbox o where o.shard = $1 and o.state = 'pending' and not exists (
  select 1 from outbox held where held.shard = o.shard and held.state = 'pending' and held.next_attempt_at > $2
  and held.entity_id = o.entity_id and held.seq <= o.seq) order by o.seq limit $3
"""
MARK = """
update outbox set state = 'published', published_at = $2, next_attempt_at = null, last_error = null where seq = any($1)
"""
HOLD = """
update outbox set attempts = attempts + 1, next_attempt_at = held.at, last_error = held.error
from unnest($1::bigint[], $2::timestamptz[], $3::text[]) as held(seq, at, error) where outbox.seq = held.seq
"""
FORGET = """
with oldest as (select seq from outbox order by seq limit $2)
delete from outbox using oldest
where outbox.seq = oldest.seq and outbox.state <> 'pending' and coalesce(outbox.published_at, outbox.created_at) < $1
"""
HISTORY = """
select version from audit where entity_id = $1 and entity_type = $2 and version < $3 order by version desc limit $4
"""
REPLAY = """
select seq from outbox where seq > $1 and state = 'published' and created_at >= $2 and created_at < $3 order by seq limit $4
"""
FILES = """
select pg_relation_filenode(to_regclass($1)), exists (select from pg_inherits where inhrelid = to_regclass($1))
"""
LEAD = new_id()


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    url = databases.create("growing")
    yield url
    databases.drop(url)


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package with the migrations of the previous release."""
    package = tmp_path / "previous_sales"
    shutil.copytree(Path(crm_sales.migrations.__path__[0]), package / "migrations")
    (package / "__init__.py").touch()
    files = sorted((package / "migrations" / "versions").glob("[0-9]*.py"))
    [since] = [index for index, file in enumerate(files) if "v0004_epochs" in file.read_text()]
    for file in files[since:]:
        file.unlink()
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("previous_sales")]:
        monkeypatch.delitem(sys.modules, name)
    head_of.cache_clear()
    return "previous_sales.migrations"


async def to_previous(url: str, package: str) -> None:
    assert await asyncio.to_thread(migrate, package, url, SERVICE.metadata)


async def to_this(url: str) -> None:
    assert await asyncio.to_thread(migrate, SERVICE.migrations, url, SERVICE.metadata)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    conn = await asyncpg.connect(url, server_settings={"timezone": "UTC", "enable_seqscan": "off"})
    yield conn
    await conn.close()


async def write(conn: asyncpg.Connection, versions: range, *, days_ago: float = 0) -> None:
    ids = [new_id() for _ in versions]
    await conn.execute(WRITE, ids, [LEAD] * len(ids), list(versions), clock.now() - timedelta(days=days_ago))


async def read(conn: asyncpg.Connection) -> list[int]:
    return [row["seq"] for row in await conn.fetch(READ, 3, clock.now(), 10_000)]


async def parts(conn: asyncpg.Connection) -> dict[str, int]:
    """Return the number of rows in each partition of the outbox."""
    found = await conn.fetch("select tableoid::regclass::text as part, count(*) as rows from outbox group by 1")
    return {row["part"].removeprefix("partitions."): row["rows"] for row in found}


async def test_a_database_with_data_gets_its_parts_while_the_release_before_writes(url: str, before: str) -> None:
    await to_previous(url, before)
    stop, written = asyncio.Event(), 100
    async with connected(url) as conn, connected(url) as other:
        await write(conn, range(1, 51), days_ago=30)
        await conn.execute(MARK, await read(conn), clock.now() - timedelta(days=30))
        await write(conn, range(51, 101))
        files = [(await conn.fetchrow(FILES, table))[0] for table in ("audit", "outbox")]

        async def keep_writing() -> None:
            nonlocal written
            while not stop.is_set():
                await write(other, range(written + 1, written + 6))
                written += 5

        writing = asyncio.create_task(keep_writing())
        await to_this(url)
        stop.set()
        await writing

        # Nothing was copied: the former files are partitions now.
        assert await conn.fetchrow(FILES, "partitions.audit_before") == (files[0], True)
        assert await conn.fetchrow(FILES, "partitions.outbox_before") == (files[1], True)
        assert await parts(conn) == {"outbox_before": 50, "outbox_pending": written - 50}
        assert [row[0] for row in await conn.fetch(HISTORY, LEAD, "lead", 10**6, 10**6)] == list(range(written, 0, -1))
        pending = await read(conn)
        assert pending == sorted(pending)
        assert len(pending) == written - 50

        # The previous release continues to work.
        await conn.execute(HOLD, pending[:1], [clock.now() - timedelta(seconds=1)], ["returned"])
        await conn.execute(MARK, pending, clock.now())
        assert await read(conn) == []
        year = timedelta(days=365)
        replayed = await conn.fetch(REPLAY, 0, clock.now() - year, clock.now() + year, 10_000)
        assert [row["seq"] for row in replayed] == list(range(1, written + 1))
        assert await conn.execute(FORGET, clock.now() - timedelta(days=20), 5000) == "DELETE 50"
        await write(conn, range(written + 1, written + 2))
        assert await read(conn) == [written + 1]
    await to_this(url)
    await is_ready(url)


WAITS = """
select exists (
    select from pg_locks l join pg_stat_activity a using (pid)
    where not l.granted and a.datname = current_database()
        and (l.locktype = 'virtualxid' or l.relation in ('inbox'::regclass, 'outbox'::regclass))
)
"""
"""An index that is built concurrently waits for transactions, and what changes a table waits for the table."""


async def until_it_waits(conn: asyncpg.Connection) -> None:
    while not await conn.fetchval(WAITS):  # noqa: ASYNC110  # it happens in the database
        await asyncio.sleep(0.01)


async def test_whoever_writes_goes_on_while_the_migration_waits_for_a_backup(url: str, before: str) -> None:
    await to_previous(url, before)
    async with connected(url) as backup, connected(url) as worker, connected(url) as conn, asyncio.timeout(120):
        for index in INDEXES:
            await conn.execute(index)
        step, dump = worker.transaction(), backup.transaction()
        await dump.start()
        await backup.fetch("select from outbox")
        await step.start()
        await worker.execute("delete from inbox where consumer = 'nobody'")
        migrating = asyncio.create_task(to_this(url))
        # A handler of events has locked the inbox, and then writes.
        await until_it_waits(conn)
        await write(worker, range(1, 2))
        await step.commit()
        await until_it_waits(conn)
        await write(worker, range(2, 4))
        assert len(await read(worker)) == 3
        assert not migrating.done()
        await dump.commit()
        await migrating
    await is_ready(url)


async def is_ready(url: str) -> None:
    db = Database(url, pool_size=1, application_name="test")
    async with db.autocommit() as checked:
        assert await Standing(SERVICE).reasons(checked) == []
    await db.dispose()


async def test_a_setup_that_ends_half_way_is_gone_on_with(
    url: str, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await to_previous(url, before)

    async def die(*_: object) -> None:
        raise ConnectionResetError

    def dying(step: str) -> Callable[..., Any]:
        whole: Callable[..., Any] = getattr(adoption, step)
        monkeypatch.setattr(adoption, step, die)
        return whole

    async with connected(url) as conn:
        await write(conn, range(1, 21), days_ago=3)
        await conn.execute(MARK, (await read(conn))[:10], clock.now())
        after = dying("after_migrating")
        with pytest.raises(ConnectionResetError):
            await to_this(url)
        # A concurrent relay publishes events that are older than every existing partition.
        assert await parts(conn) == {"outbox_pending": 10}
        await conn.execute(MARK, await read(conn), clock.now())
        assert await parts(conn) == {"outbox_sent_default": 10}
        monkeypatch.setattr(adoption, "after_migrating", after)
        await to_this(url)
        assert await parts(conn) == {"outbox_before": 20}
    await is_ready(url)


async def test_a_constraint_that_does_not_hold_is_taken_away_again(url: str, before: str) -> None:
    await to_previous(url, before)
    async with connected(url) as conn:
        await write(conn, range(1, 2), days_ago=-400)
        with pytest.raises(Exception, match="audit_before"):
            await to_this(url)
        await write(conn, range(2, 3), days_ago=-400)


async def test_the_release_before_epochs_may_not_use_a_database_that_has_begun_one(url: str, before: str) -> None:
    await to_previous(url, before)
    await to_this(url)
    assert not await asyncio.to_thread(migrate, before, url, SERVICE.metadata)
    await begin_epoch("sales", url, reason="restored", compatible_from=revision_with(SERVICE.migrations, v0004_epochs))
    for _ in range(2):
        with pytest.raises(SchemaTooNew, match="builds before revision 0017 cannot use"):
            await to_previous(url, before)
        await to_this(url)
    await is_ready(url)


async def test_a_lost_part_is_told_by_readiness(url: str) -> None:
    await to_this(url)
    db = Database(url, pool_size=1, application_name="test")
    async with db.begin() as conn:
        await conn.exec_driver_sql("drop table partitions.audit_default")
    async with db.autocommit() as conn:
        [reason] = await Standing(SERVICE).reasons(conn)
    await db.dispose()
    assert reason.endswith("part audit.audit_default is missing")
