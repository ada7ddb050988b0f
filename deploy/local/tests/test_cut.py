"""A cut of several databases: data that one has received from another are in the other, too, during concurrent writes."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest

from crm_local.backup import cut as cutting
from crm_local.backup.cut import NoCut, cut
from crm_local.servers import Servers
from crm_local.suite import in_database

TABLES = """
create table outbox (seq bigint generated always as identity primary key, id uuid default gen_random_uuid());
create table inbox (event_id uuid primary key)
"""
CUTS = 10


@pytest.fixture
async def urls(servers: Servers) -> AsyncIterator[dict[str, str]]:
    """Two databases that follow each other."""
    operator = await asyncpg.connect(servers.database_url)
    names = {side: f"cut_{side}_{secrets.token_hex(4)}" for side in ("left", "right")}
    found = {side: in_database(servers.database_url, name) for side, name in names.items()}
    for side, name in names.items():
        await operator.execute(f"create database {name}")
        conn = await asyncpg.connect(found[side])
        await conn.execute(TABLES)
        await conn.close()
    yield found
    for name in names.values():
        await operator.execute(f"drop database {name} with (force)")
    await operator.close()


async def write_on(url: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        while True:
            async with conn.transaction():
                await conn.execute("insert into outbox default values")
                await asyncio.sleep(0.002)
    finally:
        conn.terminate()


async def follow(source: str, own: str) -> None:
    """Receive what the other has committed at once, without a broker."""
    there, here = await asyncpg.connect(source), await asyncpg.connect(own)
    last = 0
    try:
        while True:
            rows = await there.fetch("select seq, id from outbox where seq > $1 order by seq", last)
            if rows:
                last = rows[-1]["seq"]
                await here.executemany("insert into inbox values ($1)", [(row["id"],) for row in rows])
            await asyncio.sleep(0)
    finally:
        there.terminate()
        here.terminate()


async def test_no_effect_is_in_a_cut_without_its_event(urls: dict[str, str]) -> None:
    left, right = urls["left"], urls["right"]
    work = [write_on(left), write_on(left), write_on(right), follow(left, right), follow(right, left)]
    tasks = [asyncio.create_task(one) for one in work]
    seen = 0
    try:
        for _ in range(CUTS):
            async with cut(urls) as moment:
                events = {side: await _ids(conn, "select id from outbox") for side, conn in moment.conns.items()}
                effects = {side: await _ids(conn, "select event_id from inbox") for side, conn in moment.conns.items()}
            assert effects["right"] <= events["left"]
            assert effects["left"] <= events["right"]
            seen = len(events["left"]) + len(events["right"])
        assert not any(task.done() for task in tasks), "whoever wrote goes on"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert seen


async def _ids(conn: asyncpg.Connection, query: str) -> set[object]:
    return {row[0] for row in await conn.fetch(query)}


async def test_a_long_transaction_is_waited_for_without_holding_others_up(
    urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "PATIENCE_SECONDS", 0.0)
    conn, other = await asyncpg.connect(urls["left"]), await asyncpg.connect(urls["right"])
    try:
        async with conn.transaction():
            await conn.execute("insert into outbox default values")
            with pytest.raises(NoCut, match="left; an import"):
                async with cut(urls):
                    pass
            locks = "select count(*) from pg_locks where relation = 'outbox'::regclass and mode = 'ShareLock'"
            assert await conn.fetchval(locks) == 0
            await other.execute("insert into outbox default values")
        async with cut(urls) as moment:
            assert await moment.conns["left"].fetchval("select count(*) from outbox") == 1
    finally:
        await conn.close()
        await other.close()
