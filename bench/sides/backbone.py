"""The work behind a request: relay, consumers, and the time until an effect."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from statistics import quantiles
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from bench.data import lead_body, people
from bench.driver import LoadFailed, run
from bench.leads import API, connect, empty
from bench.report import Sample, Side
from bench.scenes import Options, creates
from bench.sides.files import csv_import
from bench.sides.requests import under_api
from bench.suite import Suite
from crm_kit.store.record import new_id


@asynccontextmanager
async def events(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """Drains start with a frozen process, so that its work is complete and the process warm when it continues."""
    await empty(suite)
    await suite.settled()
    yield {
        "relay drain": lambda: relay_drain(suite, options.events),
        "inbox drain": lambda: inbox_drain(suite, options.events, "marketing", "lead_ref"),
        "inbox drain, activities": lambda: inbox_drain(suite, options.events, "activities", "record_ref"),
        "commit to effect": lambda: commit_to_effect(suite, options.seconds),
        "read your write": lambda: read_your_write(suite, options.seconds),
        "import": lambda: csv_import(suite, options.events),
    }


@contextmanager
def frozen(suite: Suite, *names: str) -> Iterator[None]:
    """Freeze processes during the block."""
    pids = [pid for name in names if (pid := suite.process(name)["pid"]) not in suite.frozen]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def template(suite: Suite) -> asyncpg.Record:
    """Return the outbox row of a new lead."""
    token = (await suite.tokens("organization"))[0]
    async with aiohttp.ClientSession(suite.gateway) as session:
        body = lead_body(next(people(1)), marked=False).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with session.post(f"{API}/leads", data=body, headers=headers) as response:
            lead = (await response.json())["id"]
    await suite.settled()
    connection = await connect(suite.database("sales"))
    try:
        return await connection.fetchrow("select * from outbox where entity_id = $1", UUID(lead))
    finally:
        await connection.close()


async def write_events(suite: Suite, like: asyncpg.Record, count: int) -> list[UUID]:
    """Insert outbox rows of this many new leads. Return the leads' ids."""
    text, lead, event = bytes(like["body"]).decode(), str(like["entity_id"]), str(like["id"])
    leads = [new_id() for _ in range(count)]
    records = []
    for new in leads:
        event_id = new_id()
        body = text.replace(lead, str(new)).replace(event, str(event_id)).encode()
        records.append((event_id, new.bytes[15] % 16, "lead", new, 1, like["type"], body, like["created_at"]))
    connection = await connect(suite.database("sales"))
    try:
        columns = ["id", "shard", "entity_type", "entity_id", "entity_version", "type", "body", "created_at"]
        await connection.copy_records_to_table("outbox", records=records, columns=columns)
    finally:
        await connection.close()
    return leads


async def until(url: str, sql: str, *parameters: Any) -> float:
    """Return the seconds until a query returns true."""
    connection, started = await connect(url), time.monotonic()
    try:
        while not await connection.fetchval(sql, *parameters):
            if time.monotonic() - started > 120:
                raise LoadFailed(f"not reached in 120 s: {sql}")
            await asyncio.sleep(0.05)
        return time.monotonic() - started
    finally:
        await connection.close()


NOTHING_PENDING = "select not exists (select from outbox where state = 'pending')"
ALL_KNOWN = "select count(*) = cardinality($1::uuid[]) from {} where id = any($1::uuid[]) and version > 0"


async def relay_drain(suite: Suite, count: int) -> Sample:
    """Return the events published per second from a full outbox without consumers."""
    like = await template(suite)
    with frozen(suite, *suite.workers(but="sales-worker")):
        with frozen(suite, "sales-worker"):
            await write_events(suite, like, count)
        took = await until(suite.database("sales"), NOTHING_PENDING)
    await suite.settled()
    return Sample(count / took)


async def inbox_drain(suite: Suite, count: int, service: str, copies: str) -> Sample:
    """Return the lead events per second from a full queue into the handler groups of one service.

    ``copies`` is their table.
    """
    like = await template(suite)
    worker = f"{service}-worker"
    with frozen(suite, *suite.workers(but="sales-worker", also=worker)):
        with frozen(suite, worker):
            leads = await write_events(suite, like, count)
            await until(suite.database("sales"), NOTHING_PENDING)
        took = await until(suite.database(service), ALL_KNOWN.format(copies), leads)
    await suite.settled()
    return Sample(count / took)


async def commit_to_effect(suite: Suite, seconds: int) -> Sample:
    """Return the milliseconds from a change to its effect in activities at 200 creates per second.

    The worker measures them for every event and group. They start with the request, before its commit.
    """
    worker = suite.process("activities-worker")["metrics_url"]
    load = under_api(creates(Options("", seconds=seconds, connections=8)))
    before = await lags(worker)
    sales = suite.process("sales-api")["url"]
    measured = await run(sales, replace(load, tokens=await suite.tokens("organization"), rate=200))
    await suite.settled()
    found = {bound: count - before.get(bound, 0.0) for bound, count in (await lags(worker)).items()}
    return Sample(p95_of(found) * 1000, measured.failures, {"events": max(found.values()), "rate": measured.rate})


async def lags(worker: str) -> dict[float, float]:
    """Return the number of effects within each upper bound in seconds."""
    async with aiohttp.ClientSession() as session, session.get(worker) as response:
        text = await response.text()
    found: dict[float, float] = {}
    for bound, count in LAGS.findall(text):
        found[float(bound)] = found.get(float(bound), 0.0) + float(count)
    return found


LAGS = re.compile(r'^crm_inbox_lag_seconds_bucket{[^}]*\ble="([^"]+)"[^}]*} (\S+)$', re.MULTILINE)


def p95_of(cumulative: Mapping[float, float]) -> float:
    """Return the 95th percentile of a histogram, with linear interpolation in its bucket, as in Prometheus."""
    wanted, low, below = max(cumulative.values()) * 0.95, 0.0, 0.0
    if wanted == 0:
        raise LoadFailed("there was nothing to measure")
    for bound, count in sorted(cumulative.items()):
        if count >= wanted:
            return low if bound == float("inf") else low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    raise AssertionError("the last bucket holds all")


async def read_your_write(suite: Suite, seconds: int) -> Sample:
    """Return the milliseconds from the answer of a create to its lead in a timeline, through the gateway at 200 creates
    per second."""
    tokens = await suite.tokens("organization")
    load = under_api(creates(Options("", seconds=seconds, connections=8)))
    background = asyncio.create_task(run(suite.gateway, replace(load, tokens=tokens, rate=200)))
    taken: list[float] = []
    async with aiohttp.ClientSession(suite.gateway, headers={"Authorization": f"Bearer {tokens[0]}"}) as session:
        body = lead_body(next(people(1)), marked=False).encode()
        while not background.done():
            async with session.post(f"{API}/leads", data=body, headers={"Content-Type": "application/json"}) as made:
                lead, version = (await made.json())["id"], made.headers["Crm-Version"]
            started = time.perf_counter()
            async with session.get(f"{API}/timeline?regarding={lead}", headers={"Crm-After": version}) as seen:
                if seen.status != 200 or not (await seen.json())["items"]:
                    raise LoadFailed(f"the timeline answered {seen.status}")
            taken.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(0.05)
    measured = await background
    return Sample(quantiles(taken, n=20)[-1], measured.failures, {"samples": len(taken), "rate": measured.rate})
