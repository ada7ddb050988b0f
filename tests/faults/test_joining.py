"""A service that joins late: insights is started when sales has long been at work, while writes go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import aiohttp
import asyncpg
import pytest

from crm_insights.app import SERVICE as INSIGHTS
from crm_insights.consumers import CONSUMERS
from crm_kit import topology
from crm_kit.clock import monotonic
from crm_kit.setup import prepare
from crm_kit.testing.databases import settings_for
from crm_kit.testing.figures import Figures
from crm_kit.testing.issuer import Issuer
from crm_kit.testing.people import principal
from tests.recount import differences, heard, recount, versions

from .conftest import Drive
from .driver import Driver
from .stage import LOG_BYTES, Stage

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
    """A lead, and by turns what may become of it."""
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
    """Made and migrated now, as an operator does who adds the service; gone with the test."""
    operator = await asyncpg.connect(stage.machines.database_url)
    name = stage.database("insights")
    try:
        await operator.execute(f'create database "{name}"')
        await asyncio.to_thread(prepare, INSIGHTS, settings_for(INSIGHTS, stage.database_url("insights")))
        yield
    finally:
        await operator.execute(f'drop database if exists "{name}" with (force)')
        await operator.close()


@pytest.mark.parametrize("leads", [60, pytest.param(5_000, marks=pytest.mark.large)])
async def test_insights_joins_a_running_suite_and_catches_up_while_writes_go_on(
    stage: Stage, drive: Drive, issuer: Issuer, figures: Figures, leads: int
) -> None:
    sales, _ = await stage.started(("sales", "api"), ("sales", "worker"))
    token = issuer.token(principal())
    async with (
        drive(sales.url) as driver,
        stage.connect("sales") as books,
        aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"}) as session,
    ):
        await driver.tell(selling_story, leads)
        before = await versions(books)
        async with database_of_insights(stage):
            async with driver.telling(selling_story):
                began, told = monotonic(), len(driver.ledger.keys)
                keys, caps = {"insights": CONSUMERS.routing_keys()}, topology.Caps(log_bytes=LOG_BYTES)
                await topology.apply(keys, stage.amqp_url, stage.machines.management_url, caps=caps)
                api, worker = await stage.started(("insights", "api"), ("insights", "worker"))

                async def ask(after: str) -> int:
                    assert worker.alive
                    async with session.get(f"{api.url}/api/v1/funnel", headers={"crm-after": after}) as answer:
                        return answer.status

                async with asyncio.timeout(60 + leads / 20):
                    await heard(ask, before)
                caught_up, meanwhile = monotonic() - began, len(driver.ledger.keys) - told
            async with asyncio.timeout(60):
                await heard(ask, await versions(books))
            async with session.get(f"{api.url}/api/v1/funnel") as answer:
                funnel = await answer.json()
            counted = await recount(books)
            async with stage.connect("insights") as copy:
                snapshots = await copy.fetchval("select count(*) from inbox where type like '%.snapshot.v1'")
                extra = await copy.fetchval("select count(*) from lead_ref") - counted["leads"]["count"]
            await asyncio.gather(api.kill(), worker.kill())
    wrong = differences(funnel, counted)
    figures(
        records_before=len(before),
        by_snapshot=snapshots,
        commands_meanwhile=meanwhile,
        caught_up_seconds=caught_up,
        leads=counted["leads"]["count"],
        extra_leads=extra,
        differences=len(wrong),
    )
    assert wrong == []
    assert (extra, meanwhile > 0, snapshots >= len(before)) == (0, True, True)
