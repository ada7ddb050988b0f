"""The memory and processor time of the suite, idle and after use."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp

from bench.data import lead_body, people
from bench.driver import LoadFailed
from bench.footprint import REST_SECONDS, memory, processor
from bench.leads import API
from bench.report import Sample, Side
from bench.scenes import Options
from bench.sides.files import csv_import
from bench.suite import Suite

FOOTPRINT_REQUESTS, FOOTPRINT_ROWS = 500, 2_000


@asynccontextmanager
async def footprint(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    async def start() -> Sample:
        return Sample(suite.start_seconds)

    def held(servers: bool) -> Side:
        async def measured() -> Sample:
            return memory(suite, servers=servers)

        return measured

    done: set[str] = set()

    async def once(what: str, act: Callable[[], Awaitable[None]]) -> None:
        if what not in done:
            done.add(what)
            await act()

    def after_use(servers: bool) -> Side:
        async def measured() -> Sample:
            await once("use", lambda: use(suite))
            return memory(suite, servers=servers)

        return measured

    def after_rest(servers: bool) -> Side:
        async def measured() -> Sample:
            await once("rest", lambda: asyncio.sleep(REST_SECONDS))
            return memory(suite, servers=servers)

        return measured

    yield {
        "start": start,
        "processor": lambda: processor(suite),
        "memory": held(False),
        "memory, servers": held(True),
        "memory after use": after_use(False),
        "memory after use, servers": after_use(True),
        "memory after rest": after_rest(False),
        "memory after rest, servers": after_rest(True),
    }


async def use(suite: Suite) -> None:
    """Send some hundred requests of each kind through the gateway, and an import."""
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
