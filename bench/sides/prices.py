"""The cost of one piece of work: processor time of every process of the suite and of both servers, from /proc.

Work is sent on a schedule that leaves the cores half idle, so that batches of consumers have the same size on slow and
fast machines. The time of an idle suite is subtracted.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Final

from bench.driver import Consumable, Load, LoadFailed, Measured, run
from bench.footprint import by_process, used
from bench.leads import connect, empty, fill_leads, told, unit_of
from bench.report import Sample, Side
from bench.scenes import Options, creates, qualifies
from bench.sides.files import ended, made_up_file
from bench.sides.requests import under_api
from bench.suite import Suite, awaited, connected

CREATES_A_SECOND, QUALIFIES_A_SECOND, SECONDS = 50, 25, 12
IMPORTED: Final = 5_000
IDLE_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 2.0
QUIET: Final = 0.03
"""Share of a core above the idle use. Below this over ``QUIET_SECONDS``, all effects of the work are complete."""
MILLISECONDS: Final = 1000.0

CREATED: Final = "crm.sales.lead.created.v1"
QUALIFIED: Final = "crm.sales.lead.qualified.v1"
TOLD = "select count(*) from outbox where type = $1"
NOTHING_PENDING = "select not exists (select from outbox where state = 'pending')"

Work = Callable[[], Awaitable[object]]


@asynccontextmanager
async def cost(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """Return the sides. Everything is warm before the first measurement."""
    await empty(suite)
    supply = (options.rounds + 1) * QUALIFIES_A_SECOND * SECONDS * 2
    ids = await fill_leads(
        suite.database("sales"), await suite.owners("organization"), await unit_of(suite), supply, strangers=True
    )
    await told(suite, ids)
    Random(4).shuffle(ids)
    create = under_api(replace(creates(options), rate=CREATES_A_SECOND, seconds=SECONDS, connections=8))
    leads = Consumable(
        replace(under_api(qualifies(ids, options)), bodies=["{}"], rate=QUALIFIES_A_SECOND, seconds=SECONDS)
    )

    async def creating() -> None:
        _answered(await run(suite.gateway, await _with_tokens(suite, create)))

    async def qualifying() -> None:
        leads.load = await _with_tokens(suite, leads.load)
        _answered(await leads.run(suite.gateway))

    async def importing() -> None:
        await ended(suite, file, IMPORTED, look_seconds=1.0)

    file = made_up_file(IMPORTED)
    for work in (creating, qualifying, importing):
        await work()
    await suite.settled()
    idle = await idle_shares(suite)
    yield {
        "create": lambda: price(suite, idle, creating, CREATED),
        "qualify": lambda: price(suite, idle, qualifying, QUALIFIED),
        "imported lead": lambda: price(suite, idle, importing, CREATED),
    }


async def price(suite: Suite, idle: Mapping[str, float], work: Work, told_by: str) -> Sample:
    """Return the milliseconds of processor time, by process, for one piece of the work that ends in an event of this
    type."""
    already, before, began = await _count(suite, told_by), seconds(suite), time.monotonic()
    await work()
    await quiet(suite, idle)
    after, took = seconds(suite), time.monotonic() - began
    pieces = await _count(suite, told_by) - already
    if pieces <= 0:
        raise LoadFailed("there was nothing to measure")
    costs = {
        name: MILLISECONDS * (total - before.get(name, 0.0) - took * idle.get(name, 0.0)) / pieces
        for name, total in after.items()
    }
    return Sample(sum(costs.values()), 0, costs)


async def quiet(suite: Suite, idle: Mapping[str, float]) -> None:
    """Wait until no outbox row is pending and the processes use no more than when idle. Raises LoadFailed."""
    for service in suite.services:
        async with connected(suite.database(service)) as connection:
            await awaited(lambda: connection.fetchval(NOTHING_PENDING), seconds=120)
    bound, deadline = sum(idle.values()) + QUIET, time.monotonic() + 120
    while await _taken(suite, QUIET_SECONDS) > bound:
        if time.monotonic() > deadline:
            raise LoadFailed("the suite did not come to rest")


async def idle_shares(suite: Suite) -> Mapping[str, float]:
    """Return the share of a core that each process uses when idle."""
    await asyncio.sleep(QUIET_SECONDS)
    before, began = seconds(suite), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    took = time.monotonic() - began
    return {name: (total - before.get(name, 0.0)) / took for name, total in seconds(suite).items()}


def seconds(suite: Suite) -> dict[str, float]:
    """Return the processor time of each process in seconds. A server includes its children."""
    return {name: used(pids) for name, pids in by_process(suite).items()}


async def _taken(suite: Suite, during: float) -> float:
    before, began = sum(seconds(suite).values()), time.monotonic()
    await asyncio.sleep(during)
    return (sum(seconds(suite).values()) - before) / (time.monotonic() - began)


async def _count(suite: Suite, event: str) -> int:
    connection = await connect(suite.database("sales"))
    try:
        return int(await connection.fetchval(TOLD, event))
    finally:
        await connection.close()


def _answered(measured: Measured) -> None:
    if measured.failures:
        raise LoadFailed(f"{measured.failures} requests failed")


async def _with_tokens(suite: Suite, load: Load) -> Load:
    return replace(load, tokens=await suite.tokens("organization"))
