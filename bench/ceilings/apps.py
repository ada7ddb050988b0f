"""Databases and servers of the bare applications, created for a run and dropped after it."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateSequence, CreateTable, ExecutableDDLElement

from bench.ceilings import orm
from bench.data import DESCRIPTION, Columns, fill

ROOT = Path(__file__).parents[2]
START_SECONDS = 30
RUNNING = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:\d+)")

LEAD_COLUMNS: Columns = {
    "id": lambda p: p.id,
    "version": lambda p: 1,
    "number": lambda p: f"LEA-{p.index + 1:05d}",
    "status": lambda p: "open",
    "status_reason": lambda p: "new",
    "owner_type": lambda p: "user",
    "owner_id": lambda p: orm.SOMEBODY,
    "business_unit_id": lambda p: orm.SOMEBODY,
    "created_at": lambda p: p.created_at,
    "created_by": lambda p: orm.SOMEBODY,
    "modified_at": lambda p: p.created_at,
    "modified_by": lambda p: orm.SOMEBODY,
    "topic": lambda p: p.topic,
    "first_name": lambda p: p.first_name,
    "last_name": lambda p: p.last_name,
    "company_name": lambda p: p.company,
    "job_title": lambda p: p.job_title,
    "gender": lambda p: p.gender,
    "birth_date": lambda p: p.birth_date,
    "email": lambda p: p.email,
    "phone": lambda p: p.phone,
    "mobile_phone": lambda p: p.mobile_phone,
    "address_line1": lambda p: p.street,
    "address_city": lambda p: p.city,
    "address_postal_code": lambda p: p.postal_code,
    "address_country": lambda p: p.country,
    "website": lambda p: p.website,
    "industry": lambda p: p.industry,
    "source": lambda p: p.source,
    "rating": lambda p: p.rating,
    "budget_amount": lambda p: p.budget,
    "budget_currency": lambda p: "EUR",
    "budget_base_amount": lambda p: p.budget,
    "estimated_value_amount": lambda p: p.value,
    "estimated_value_currency": lambda p: "EUR",
    "estimated_value_base_amount": lambda p: p.value,
    "exchange_rate": lambda p: Decimal(1),
    "estimated_close_date": lambda p: p.close_date,
    "need": lambda p: p.need,
    "preferred_channel": lambda p: p.channel,
    "do_not_email": lambda p: p.opted_out,
    "do_not_phone": lambda p: False,
    "do_not_post": lambda p: False,
    "description": lambda p: DESCRIPTION,
}


@dataclass(frozen=True)
class Ceilings:
    """The two bare applications, each on a separate database with the same rows."""

    orm_url: str
    raw_url: str
    lead_ids: list[str]


def ddl() -> list[str]:
    """Return the tables as statements, from ceiling A's mapping."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy leaves dialect constructors untyped
    tables = orm.Base.metadata.sorted_tables
    made: list[ExecutableDDLElement] = [CreateSequence(orm.LEAD_NUMBER), *(CreateTable(table) for table in tables)]
    made += [CreateIndex(index) for table in tables for index in table.indexes]
    return [str(statement.compile(dialect=dialect)) for statement in made]


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def prepare(url: str, rows: int, *, searchable: bool) -> list[str]:
    """Create tables, rows and, if `searchable`, the trigram index. Return the ids of the leads."""
    connection = await asyncpg.connect(url)
    try:
        for statement in ddl():
            await connection.execute(statement)
        await fill(connection, "lead", LEAD_COLUMNS, rows)
        await connection.execute("select setval('lead_number', $1)", rows + 1)
        if searchable:
            await connection.execute("create extension if not exists pg_trgm")
            await connection.execute(f"create index lead_search on lead using gin (({orm.SEARCH_TEXT}) gin_trgm_ops)")
        await connection.execute("vacuum analyze")
        return [str(row["id"]) for row in await connection.fetch("select id from lead")]
    finally:
        await connection.close()


@asynccontextmanager
async def databases(url: str, rows: int, *, searchable: bool) -> AsyncIterator[tuple[str, str, list[str]]]:
    """Create two databases with equal contents on the server of `url`, whose user can create databases.

    Drop them at the end.
    """
    names = [f"bench_ceiling_{letter}_{uuid4().hex[:8]}" for letter in "ab"]
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(f"create database {names[0]}")
        ids = await prepare(with_database(url, names[0]), rows, searchable=searchable)
        await admin.execute(f"create database {names[1]} template {names[0]}")
        yield with_database(url, names[0]), with_database(url, names[1]), ids
    finally:
        for name in names:
            await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()


@asynccontextmanager
async def serve(module: str, database_url: str) -> AsyncIterator[str]:
    """Run one uvicorn worker of `module` on a free loopback port.

    Yield its URL. Raises `RuntimeError` if it ends early.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", f"{module}:app", "--host", "127.0.0.1", "--port", "0"),
        *("--loop", "uvloop", "--http", "httptools", "--workers", "1", "--no-access-log", "--no-use-colors"),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    stderr = process.stderr
    said: list[str] = []

    async def address() -> str:
        async for line in stderr:
            said.append(line.decode())
            if found := RUNNING.search(said[-1]):
                return found[1]
        raise RuntimeError(f"{module} did not start:\n{''.join(said)}")

    async def pass_on() -> None:
        async for line in stderr:
            if not line.startswith(b"INFO:"):
                sys.stderr.write(line.decode())

    try:
        url = await asyncio.wait_for(address(), START_SECONDS)
        passing = asyncio.create_task(pass_on())
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    await passing


@asynccontextmanager
async def ceilings(database_url: str, rows: int, *, searchable: bool = False) -> AsyncIterator[Ceilings]:
    """Run both applications with `rows` leads each. The search index is optional, because it slows writes."""
    async with (
        databases(database_url, rows, searchable=searchable) as (a, b, ids),
        serve("bench.ceilings.orm", a) as orm_url,
        serve("bench.ceilings.raw", b) as raw_url,
    ):
        yield Ceilings(orm_url, raw_url, ids)
