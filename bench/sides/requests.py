"""Requests to the service and to the gateway: writes, reads, and reads of a growing table."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from uuid import uuid4

import aiohttp

from bench.driver import Consumable, Load, LoadFailed, run
from bench.leads import API, connect, empty, fill_leads, told, unit_of
from bench.report import Sample, Side, by_p95, by_rate
from bench.scenes import (
    SEARCHED,
    Options,
    creates,
    gets,
    lists,
    qualifies,
    searches,
    searches_of_all_kinds,
    short_searches,
)
from bench.suite import BACKLOG_SECONDS, CHECKOUT, Suite


def loaded(suite: Suite, url: str, load: Load, *, depth: str = "organization", settles: bool = False) -> Side:
    """Return a side that runs one load with fresh tokens.

    With ``settles`` the consumers must finish their backlog in time.
    """

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
    """Run two more sales processes beside the suite's, on databases of 10,000 and of 1,000,000 leads."""
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
        searched = {f"search of {n}": short_searches(n, options) for n in SEARCHED}
        searched["search of all kinds"] = searches_of_all_kinds(options)
        for work, load in searched.items():

            def search(load: Load = load) -> Side:
                async def once() -> Sample:
                    tokens = await suite.tokens("organization")
                    return by_p95(await run(large[0], replace(under_api(load), tokens=tokens, rate=5)))

                return once

            sides[work] = search()
        yield sides


@asynccontextmanager
async def sized(suite: Suite, count: int) -> AsyncIterator[tuple[str, list[str]]]:
    """Run a sales API on a separate database with this many leads."""
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
