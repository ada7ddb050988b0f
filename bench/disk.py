"""The disk space of a million events, and the speed of deletion, extrapolated from fewer by the sizes of the tables."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from bench.report import Sample, Side
from bench.suite import Suite, awaited, connected

LEADS: Final = 20_000
KEYS: Final = 1_000_000

TABLES: Final[Mapping[str, Sequence[str]]] = {
    "sales": ("outbox", "audit", "lead"),
    "activities": ("timeline_event", "record_ref"),
    "marketing": ("lead_ref",),
    "insights": ("lead_ref",),
}
"""The tables that grow with the events of leads. Each new lead is one event."""

SIZE = """
select coalesce((select sum(pg_total_relation_size(relid)) from pg_partition_tree($1::text::regclass)),
  pg_total_relation_size($1::text::regclass))::bigint
"""
BODY = "select avg(octet_length(body)) from outbox where type = 'crm.sales.lead.created.v1'"
OLD_KEYS = """
insert into inbox (consumer, source, event_id, type, state, received_at)
select 'bench.gone', '/crm/sales', ('01000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'x', 'done', now()
from generate_series(1, $1::int) n
"""
LEFT = "select count(*) from inbox where consumer = 'bench.gone'"
"""The group does not exist, and the ids are from long ago."""


def row_of(service: str, table: str) -> str:
    """Return the name of the row."""
    return f"{service} {table}, a million events"


@asynccontextmanager
async def sizes(suite: Suite, fill: Side) -> AsyncIterator[Mapping[str, Side]]:
    """Return the sides. ``fill`` imports ``LEADS`` leads and waits until all services have handled them."""
    before = await _sizes(suite)
    await fill()
    after = await _sizes(suite)
    async with connected(suite.database("sales")) as sales:
        body = float(await sales.fetchval(BODY))

    def per_million(service: str, table: str) -> Side:
        async def once() -> Sample:
            grown = after[service, table] - before[service, table]
            return Sample(grown / LEADS * 1_000_000 / 2**20)

        return once

    async def events() -> Sample:
        return Sample(body)

    async def forgets() -> Sample:
        return await _forgets(suite)

    yield {
        **{
            row_of(service, table): per_million(service, table)
            for service, tables in TABLES.items()
            for table in tables
        },
        "event": events,
        "forgets": forgets,
    }


async def _sizes(suite: Suite) -> dict[tuple[str, str], int]:
    found = {}
    for service, tables in TABLES.items():
        async with connected(suite.database(service)) as conn:
            for table in tables:
                await conn.execute(f'vacuum "{table}"')
                found[service, table] = await conn.fetchval(SIZE, table)
    return found


async def _forgets(suite: Suite) -> Sample:
    """Return the old keys deleted per second, from the first deletion on."""
    async with connected(suite.database("marketing")) as conn:
        await conn.execute(OLD_KEYS, KEYS)
        await awaited(lambda: _is_left(conn, KEYS - 1), seconds=120)
        started = await conn.fetchval("select extract(epoch from clock_timestamp())::float8")
        left = await conn.fetchval(LEFT)
        await awaited(lambda: _is_left(conn, 0), seconds=1200)
        ended = await conn.fetchval("select extract(epoch from clock_timestamp())::float8")
    return Sample(left / (ended - started))


async def _is_left(conn: asyncpg.Connection, most: int) -> bool:
    return bool(await conn.fetchval(LEFT) <= most)
