"""Our sides: what each row measures of the running suite, with relay and all consumers on."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime
from random import Random
from statistics import quantiles
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg

from bench.bank import leads_file, rows
from bench.ceilings.apps import LEAD_COLUMNS
from bench.data import Person, fill, lead_body, people
from bench.disk import LEADS, sizes
from bench.documents import catalogue, chains, quotes
from bench.driver import Consumable, Load, LoadFailed, run
from bench.footprint import memory, processor
from bench.migration import Migration
from bench.pipeline import Pipeline, made_up
from bench.report import Sample, Side, by_p95, by_rate
from bench.scenes import Options, creates, gets, lists, qualifies, searches
from bench.suite import BACKLOG_SECONDS, CHECKOUT, Suite
from crm_kit import clock
from crm_kit.network.postgres import Target
from crm_kit.store.record import new_id

API = "/api/v1"
PIPELINE_DEALS = 8_800
"""As many as the real pipeline has."""


def ours(suite: Suite) -> Any:
    """The plug for a suite that stands."""

    @asynccontextmanager
    async def plug(scene: str, options: Options) -> AsyncIterator[Mapping[str, Side]]:
        async with SCENES[scene](suite, options) as sides:
            yield sides

    return plug


async def connect(url: str) -> asyncpg.Connection:
    connection: asyncpg.Connection = await Target.of(url).connect("bench")
    await connection.execute("set statement_timeout = 0")
    return connection


async def fill_leads(url: str, owners: Sequence[str], unit: str, count: int, *, strangers: bool = False) -> list[str]:
    """Leads by COPY, their owners in turns; ``strangers`` have names nobody shares, so that no qualify finds a likeness."""
    connection = await connect(url)
    try:
        known = {row[0] for row in await connection.fetch(COLUMNS_OF_LEAD)}
        columns: dict[str, Any] = {name: make for name, make in LEAD_COLUMNS.items() if name in known}
        columns |= {
            "number": lambda p: f"BEN-{p.index}",
            "owner_id": lambda p: owners[p.index % len(owners)],
            "business_unit_id": lambda p: unit,
            "created_by": lambda p: owners[0],
            "modified_by": lambda p: owners[0],
            "address": address_of,
            "estimated_value_base_currency": lambda p: "EUR",
            "budget_base_currency": lambda p: "EUR",
        }
        if strangers:
            random = Random(9)
            columns["last_name"] = lambda p: "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=12)).capitalize()
            columns["company_name"] = lambda p: "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=14)).capitalize()
        await fill(connection, "lead", columns, count)
        await connection.execute("vacuum analyze lead")
        return [str(row[0]) for row in await connection.fetch("select id from lead where number like 'BEN-%'")]
    finally:
        await connection.close()


COLUMNS_OF_LEAD = (
    "select attname from pg_attribute where attrelid = 'lead'::regclass and attnum > 0 and attgenerated = ''"
)


async def told(suite: Suite, ids: Sequence[str]) -> None:
    """As if everybody had heard of these leads when they were made: a step would wait for what came before."""
    for service in suite.followers:
        connection = await connect(suite.database(service))
        await connection.execute(HEARD, ids)
        await connection.close()


HEARD = """
insert into inbox_position (consumer, source, entity, version)
select consumer, source, lead, 1 from inbox_bound cross join unnest($1::uuid[]) lead where source = '/crm/sales'
on conflict do nothing
"""


def address_of(person: Person) -> str:
    parts = {"line1": person.street, "line2": None, "city": person.city, "region": None}
    return json.dumps({**parts, "postal_code": person.postal_code, "country": person.country})


async def empty(suite: Suite) -> None:
    """Without the leads of an earlier scene."""
    connection = await connect(suite.database("sales"))
    await connection.execute("truncate lead, opportunity, account, contact, audit cascade")
    await connection.close()


async def unit_of(suite: Suite) -> str:
    connection = await connect(suite.database("identity"))
    unit = await connection.fetchval("select id from business_unit where parent_id is null")
    await connection.close()
    return str(unit)


def loaded(suite: Suite, url: str, load: Load, *, depth: str = "organization", settles: bool = False) -> Side:
    """A side that runs one load with fresh tokens; with ``settles`` the consumers' backlog has to be gone in time."""

    async def once() -> Sample:
        measured = await run(url, replace(load, tokens=await suite.tokens(depth)))
        sample = by_rate(measured)
        if settles and (took := await suite.settled()) > BACKLOG_SECONDS:
            raise LoadFailed(f"the backlog was gone only {took:.1f} s after the run")
        return sample

    return once


def under_api(load: Load) -> Load:
    return replace(load, paths=[API + path for path in load.paths])


@asynccontextmanager
async def writes(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    await empty(suite)
    supply = 10_000 + options.rounds * options.seconds * 700
    ids = await fill_leads(
        suite.database("sales"), await suite.owners("organization"), await unit_of(suite), supply, strangers=True
    )
    await told(suite, ids)
    create, sales = under_api(creates(options)), suite.process("sales-api")["url"]
    Random(4).shuffle(ids)
    supply_of_leads = Consumable(replace(under_api(qualifies(ids, options)), bodies=["{}"]))

    async def qualify() -> Sample:
        supply_of_leads.load = replace(supply_of_leads.load, tokens=await suite.tokens("organization"))
        sample = by_rate(await supply_of_leads.run(suite.gateway))
        await suite.settled()
        return sample

    yield {
        "create, service": loaded(suite, sales, create, settles=True),
        "create, gateway": loaded(suite, suite.gateway, create, settles=True),
        "get, gateway": loaded(suite, suite.gateway, under_api(gets(ids, options))),
        "qualify, gateway": qualify,
    }


@asynccontextmanager
async def reads(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    await empty(suite)
    await fill_leads(suite.database("sales"), await suite.owners("user"), await unit_of(suite), 100_000)
    sales = suite.process("sales-api")["url"]
    yield {
        "list, service": loaded(suite, sales, under_api(lists(options)), depth="user"),
        "search, gateway": loaded(suite, suite.gateway, under_api(searches(options))),
    }


@asynccontextmanager
async def growth(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """Two more sales processes beside the suite's, on databases of 10,000 and of 1,000,000 leads."""
    sides: dict[str, Side] = {}
    async with sized(suite, 10_000) as small, sized(suite, 1_000_000) as large:
        for label, (url, ids) in {"10,000": small, "1,000,000": large}.items():
            for work, load in (("list", lists(options)), ("get", gets(ids, options))):

                def side(load: Load = load, url: str = url) -> Side:
                    async def once() -> Sample:
                        tokens = await suite.tokens("organization")
                        return by_p95(await run(url, replace(under_api(load), tokens=tokens, rate=100)))

                    return once

                sides[f"{work}, {label}"] = side()
        yield sides


@asynccontextmanager
async def sized(suite: Suite, count: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A sales api on a database of its own with so many leads."""
    name = f"bench_sales_{count}"
    admin = await connect(suite.status["database_url"])
    url = f"{suite.status['database_url'].rpartition('/')[0]}/{name}"
    environment = {
        **os.environ,
        "CRM_SERVICE": "sales",
        "CRM_SECRET": uuid4().hex,
        "DATABASE_URL": url,
        "CRM_PORT": str(19_000 + count % 997),
        "CRM_JWKS_URL": f"{suite.process('identity-api')['url']}{API}/auth/jwks",
    }
    await admin.execute(f"create database {name}")
    process = None
    try:
        await finished([sys.executable, "-c", "from crm_sales.setup import run; run()"], environment)
        ids = await fill_leads(url, await suite.owners("organization"), await unit_of(suite), count)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from crm_sales.main import run; run()"), cwd=CHECKOUT, env=environment
        )
        address = f"http://127.0.0.1:{environment['CRM_PORT']}"
        await answering(address)
        yield address, ids
    finally:
        if process is not None:
            process.terminate()
            await process.wait()
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.close()


async def finished(command: Sequence[str], environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(*command, cwd=CHECKOUT, env=environment)
    if await process.wait() != 0:
        raise LoadFailed(f"{command[-1]} failed")


async def answering(url: str) -> None:
    """Wait until a process is ready."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


@asynccontextmanager
async def events(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """Drains start from a frozen process: what it finds is there at once, and it thaws with everything warm."""
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
    """Stop processes in their tracks, and let them go on at the end."""
    pids = [pid for name in names if (pid := suite.process(name)["pid"]) not in suite.frozen]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def template(suite: Suite) -> asyncpg.Record:
    """The outbox row of a lead just created."""
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
    """Outbox rows of so many new leads, as if they had been created; returns the leads' ids."""
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
    """Seconds until a query answers true."""
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
    """Events a second out of a full outbox, while nobody consumes."""
    like = await template(suite)
    with frozen(suite, *suite.workers(but="sales-worker")):
        with frozen(suite, "sales-worker"):
            await write_events(suite, like, count)
        took = await until(suite.database("sales"), NOTHING_PENDING)
    await suite.settled()
    return Sample(count / took)


async def inbox_drain(suite: Suite, count: int, service: str, copies: str) -> Sample:
    """Lead events a second out of a full queue into the handler groups of one service; ``copies`` is their table."""
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
    """Milliseconds from a change to its effect in activities, as its worker counts them for every event and group, at 200
    creates a second. They begin when the request does, before its commit."""
    worker = suite.process("activities-worker")["metrics_url"]
    load = under_api(creates(Options("", seconds=seconds, connections=8)))
    before = await lags(worker)
    sales = suite.process("sales-api")["url"]
    measured = await run(sales, replace(load, tokens=await suite.tokens("organization"), rate=200))
    await suite.settled()
    found = {bound: count - before.get(bound, 0.0) for bound, count in (await lags(worker)).items()}
    return Sample(p95_of(found) * 1000, measured.failures, {"events": max(found.values()), "rate": measured.rate})


async def lags(worker: str) -> dict[float, float]:
    """How many effects took at most so many seconds, by bound."""
    async with aiohttp.ClientSession() as session, session.get(worker) as response:
        text = await response.text()
    found: dict[float, float] = {}
    for bound, count in LAGS.findall(text):
        found[float(bound)] = found.get(float(bound), 0.0) + float(count)
    return found


LAGS = re.compile(r'^crm_inbox_lag_seconds_bucket{[^}]*\ble="([^"]+)"[^}]*} (\S+)$', re.MULTILINE)


def p95_of(cumulative: Mapping[float, float]) -> float:
    """The 95th percentile of a histogram, evenly spread within its bucket, as Prometheus does."""
    wanted, low, below = max(cumulative.values()) * 0.95, 0.0, 0.0
    if wanted == 0:
        raise LoadFailed("there was nothing to measure")
    for bound, count in sorted(cumulative.items()):
        if count >= wanted:
            return low if bound == float("inf") else low + (bound - low) * (wanted - below) / (count - below)
        low, below = bound, count
    raise AssertionError("the last bucket holds all")


async def read_your_write(suite: Suite, seconds: int) -> Sample:
    """From the answer of a create to its lead in a timeline, in milliseconds, at the gateway under 200 creates a second."""
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


async def csv_import(suite: Suite, count: int) -> Sample:
    """Leads a second, from the first chunk to the last, with events and audit, all consumers on."""
    lines = ["topic,first_name,last_name,company_name,email,phone,source,rating,description"]
    for person in people(count, seed=11):
        cells = (person.topic, person.first_name, person.last_name, person.company, person.email, person.phone)
        lines.append(",".join((*cells, person.source, person.rating, "Met at the fair")))
    return await imported(suite, "\n".join(lines).encode(), count)


async def imported(suite: Suite, file: bytes, count: int, deaths: int = 0) -> Sample:
    """Leads a second of one import; the sales worker is killed so many times at even distances."""
    token = (await suite.tokens("organization"))[0]
    form = aiohttp.FormData({"duplicates": "allow"})
    form.add_field("file", file, filename="leads.csv", content_type="text/csv")
    async with aiohttp.ClientSession(suite.gateway, headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.post(f"{API}/leads/import", data=form) as response:
            if response.status != 202:
                raise LoadFailed(f"the import answered {response.status}: {await response.text()}")
            location = response.headers["Location"]
        killed = 0
        while True:
            async with session.get(location) as response:
                job = await response.json()
            if job["status"] not in ("queued", "running"):
                break
            if killed < deaths and job["done"] >= count * (killed + 1) / (deaths + 1):
                os.kill(await suite.pid("sales-worker"), signal.SIGKILL)
                killed += 1
            await asyncio.sleep(0.1)
    if (job["status"], job["done"], killed) != ("completed", count, deaths):
        raise LoadFailed(f"{job['done']} of {count} rows were imported, {killed} deaths: {job}")
    started, finished = (datetime.fromisoformat(job[key]) for key in ("started_at", "finished_at"))
    caught_up = await suite.settled()
    return Sample(count / (finished - started).total_seconds(), 0, {"caught_up_after": caught_up})


@asynccontextmanager
async def bank(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """The bank's people. Each row has a number, so that one missing and one there twice are both seen."""
    await empty(suite)
    await suite.settled()
    last: list[Sample] = []

    async def once(deaths: int) -> Sample:
        topic = f"Term deposit {uuid4()}"
        people = list(rows(options.bank_file))
        sample = await imported(suite, leads_file(people, topic, clock.now().date()), len(people), deaths)
        connection = await connect(suite.database("sales"))
        try:
            leads, distinct, told = await connection.fetchrow(ONCE_EACH, topic)
        finally:
            await connection.close()
        if not leads == distinct == told == len(people):
            raise LoadFailed(f"{leads} leads, {distinct} of them distinct, {told} events for {len(people)} rows")
        last.append(sample)
        return sample

    async def caught_up() -> Sample:
        return Sample(max(sample.detail["caught_up_after"] for sample in last))

    yield {"bank": lambda: once(0), "bank, killed": lambda: once(2), "bank, caught up": caught_up}


ONCE_EACH = """
select count(*), count(distinct lead.last_name), (select count(*) from outbox o join lead l on l.id = o.entity_id
  where l.topic = $1 and o.type = 'crm.sales.lead.created.v1')
from lead where lead.topic = $1
"""


@asynccontextmanager
async def pipeline(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """A company moves in. What it had won before must be won here, to the cent."""
    wanted = Pipeline.read(options.pipeline) if options.pipeline else made_up(PIPELINE_DEALS)
    last: list[tuple[float, int]] = []

    async def move() -> Sample:
        # A company moves in once: a second round finds its people and products there.
        if not last:
            headers = {"Authorization": f"Bearer {await suite.boss()}"}
            async with aiohttp.ClientSession(suite.gateway, headers=headers) as session:
                moving, started = Migration(session, wanted), time.monotonic()
                await moving.run()
                last.append((time.monotonic() - started, moving.requests))
                if (won := await moving.won()) != wanted.won:
                    raise LoadFailed(f"{won} was won, it should be {wanted.won}")
                if (statuses := await moving.statuses()) != wanted.statuses:
                    raise LoadFailed(f"deals are {statuses}, they should be {wanted.statuses}")
        return Sample(last[0][0], 0, {"deals": len(wanted.deals), "requests": last[0][1]})

    async def requests() -> Sample:
        return Sample(last[0][1] / last[0][0])

    async def deals() -> Sample:
        return Sample(len(wanted.deals) / last[0][0])

    yield {"pipeline": move, "pipeline, requests": requests, "pipeline, deals": deals}


FOOTPRINT_REQUESTS, FOOTPRINT_ROWS = 500, 2_000


@asynccontextmanager
async def footprint(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    async def start() -> Sample:
        return Sample(suite.start_seconds)

    def held(servers: bool) -> Side:
        async def measured() -> Sample:
            return memory(suite, servers=servers)

        return measured

    used = False

    def after_use(servers: bool) -> Side:
        async def measured() -> Sample:
            nonlocal used
            if not used:
                used = True
                await use(suite)
            return memory(suite, servers=servers)

        return measured

    yield {
        "start": start,
        "processor": lambda: processor(suite),
        "memory": held(False),
        "memory, servers": held(True),
        "memory after use": after_use(False),
        "memory after use, servers": after_use(True),
    }


async def use(suite: Suite) -> None:
    """Some hundred requests through the gateway to each kind of door, and an import."""
    token = (await suite.tokens("organization"))[0]
    async with aiohttp.ClientSession(suite.gateway, headers={"Authorization": f"Bearer {token}"}) as session:
        for number, person in enumerate(people(FOOTPRINT_REQUESTS // 2, seed=23)):
            body = lead_body(person).replace("@N@", str(number))
            async with session.post(f"{API}/leads", data=body, headers=JSON) as made:
                if made.status != 201:
                    raise LoadFailed(f"a lead answered {made.status}: {await made.text()}")
            door = DOORS[number % len(DOORS)]
            async with session.get(f"{API}{door}") as seen:
                if seen.status != 200:
                    raise LoadFailed(f"{door} answered {seen.status}: {await seen.text()}")
    await csv_import(suite, FOOTPRINT_ROWS)


DOORS = ("/leads?limit=50", "/accounts?limit=50", "/tasks?limit=50", "/auth/me")
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def documents(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    await empty(suite)
    priced = await catalogue(suite)
    load = quotes(*priced, options)
    yield {
        "order to invoice": await chains(suite, *priced, options),
        "quote create, service": loaded(suite, suite.process("sales-api")["url"], load, settles=True),
        "quote create, gateway": loaded(suite, suite.gateway, load, settles=True),
    }


@asynccontextmanager
async def disk(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """The sides of ``bench.disk``."""
    await empty(suite)
    await suite.settled()

    async def fill() -> Sample:
        return await csv_import(suite, LEADS)

    async with sizes(suite, fill) as found:
        yield found


SCENES = {
    "disk": disk,
    "writes": writes,
    "reads": reads,
    "growth": growth,
    "events": events,
    "documents": documents,
    "bank": bank,
    "pipeline": pipeline,
    "footprint": footprint,
}
