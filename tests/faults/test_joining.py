"""A service that joins late: insights starts after sales has worked for a long time, while writes continue."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from crm_insights.app import SERVICE as INSIGHTS
from crm_insights.consumers import CONSUMERS
from crm_kit.clock import monotonic
from crm_kit.operating import topology
from crm_kit.schema.setup import prepare
from crm_kit.testing.databases import settings_for
from crm_kit.testing.figures import Figures
from crm_kit.testing.issuer import Issuer
from crm_kit.testing.people import principal
from tests.recount import Connection, behind, differences, recount, versions

from .conftest import Drive
from .driver import Driver
from .stage import LOG_BYTES, Stage, until

FATES = (
    (),
    ("disqualify",),
    ("qualify",),
    ("qualify", "advance develop", "advance propose", "win"),
    ("qualify", "advance close", "advance develop", "lose"),
    ("qualify", "advance propose", "win", "reopen", "hold"),
)
turn = count()


async def selling_story(driver: Driver, name: str) -> None:
    """Create a lead, and take it through one of its possible outcomes in turn."""
    value = {"amount": f"{100 + next(turn) % 7}.05", "currency": "EUR"}
    lead = await driver.command("/leads", {"topic": name, "company_name": name, "estimated_value": value})
    place, deal = f"/leads/{lead['id']}", ""
    for step in FATES[next(turn) % len(FATES)]:
        verb, _, stage = step.partition(" ")
        if verb == "qualify":
            lead = await driver.command(f"{place}/qualify", {"allow_duplicates": True})
            deal = f"/opportunities/{lead['opportunity_id']}"
        else:
            await driver.command(f"{deal or place}/{verb}", {"stage": stage} if stage else {})


@asynccontextmanager
async def database_of_insights(stage: Stage) -> AsyncIterator[None]:
    """Create and migrate the database, as an operator does who adds the service. It is removed with the test."""
    operator = await asyncpg.connect(stage.machines.database_url)
    name = stage.database("insights")
    try:
        await operator.execute(f'create database "{name}"')
        await asyncio.to_thread(prepare, INSIGHTS, settings_for(INSIGHTS, stage.database_url("insights")))
        yield
    finally:
        await operator.execute(f'drop database if exists "{name}" with (force)')
        await operator.close()


@pytest.mark.parametrize(("leads", "rate"), [(60, 5), pytest.param(5_000, 200, marks=pytest.mark.large)])
async def test_insights_joins_a_running_suite_and_catches_up_while_writes_go_on(
    stage: Stage, drive: Drive, issuer: Issuer, figures: Figures, leads: int, rate: int
) -> None:
    sales, _ = await stage.started(("sales", "api"), ("sales", "worker"))
    async with drive(sales.url) as driver, stage.connect("sales") as books, database_of_insights(stage):
        await driver.tell(selling_story, leads)
        before = await versions(books)
        async with driver.telling(selling_story), stage.connect("insights") as copy:
            # Users and an import: more writes per second than users alone could make.
            await driver.bring(leads * 2)
            written = await books.fetchval(WRITTEN)
            began, told = monotonic(), len(driver.ledger.keys)
            keys, caps = {"insights": CONSUMERS.routing_keys()}, topology.Caps(log_bytes=LOG_BYTES)
            await topology.apply(keys, stage.amqp_url, stage.machines.management_url, caps=caps)
            api, worker = await stage.started(("insights", "api"), ("insights", "worker"))
            await until(knows(copy, before), "insights knows what there was before", seconds=60 + leads / 50)
            caught_up, meanwhile = monotonic() - began, len(driver.ledger.keys) - told
            written = await books.fetchval(WRITTEN) - written
        await until(nothing_waits(books), "the file is imported", seconds=60 + leads / 25)
        async with stage.connect("insights") as copy:
            await until(knows(copy, await versions(books)), "insights knows the rest, too", seconds=60 + leads / 20)
            snapshots = await books.fetchval("select sum(sent) from snapshot_request where requested_by = 'insights'")
            unfinished = await copy.fetchval("select count(*) from inbox where state <> 'done'")
        headers = {"authorization": f"Bearer {issuer.token(principal())}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{api.url}/api/v1/funnel", headers=headers) as answer,
        ):
            funnel = await answer.json()
        counted = await recount(books)
        await asyncio.gather(api.kill(), worker.kill())
    wrong = differences(funnel, counted)
    figures(
        records_before=len(before),
        by_snapshot=snapshots,
        commands_meanwhile=meanwhile,
        writes_a_second=written / caught_up,
        caught_up_seconds=caught_up,
        leads=counted["leads"]["count"],
        deals=counted["opportunities"]["count"],
        differences=len(wrong),
    )
    assert wrong == []
    assert (unfinished, meanwhile > 0, snapshots >= len(before)) == (0, True, True)
    assert written / caught_up >= rate


WRITTEN = "select count(*) from outbox"


def nothing_waits(books: Connection) -> Callable[[], Awaitable[bool]]:
    """Return the condition that every import is completed."""

    async def condition() -> bool:
        return bool(await books.fetchval("select bool_and(status = 'completed') from import_job"))

    return condition


def knows(copy: Connection, wanted: Sequence[tuple[str, UUID, int]]) -> Callable[[], Awaitable[bool]]:
    """Return the condition that insights has received each of these versions."""

    async def condition() -> bool:
        return await behind(copy, wanted) == 0

    return condition
