"""Sales is restored from an older backup and the other services are not.

They follow it, and nothing of the lost time is left.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm_activities.app import SERVICE as ACTIVITIES
from crm_activities.consumers import CONSUMERS as ACTIVITIES_CONSUMERS
from crm_insights.app import SERVICE as INSIGHTS
from crm_insights.consumers import CONSUMERS as INSIGHTS_CONSUMERS
from crm_kit.operating import topology
from crm_kit.reconciling import commands
from crm_kit.reconciling.parties import Party
from crm_sales.app import SERVICE as SALES
from crm_sales.consumers import CONSUMERS as SALES_CONSUMERS

from .conftest import Drive
from .driver import Driver, deal_story
from .stage import LOG_BYTES, Stage, until
from .test_joining import database_of_insights

BEHIND = """
select count(*) from unnest($1::uuid[], $2::int[]) as wanted (entity, version)
left join ({0}) p on p.entity = wanted.entity where (p.version, p.deleted) is distinct from (wanted.version, false)
"""
OF_COPIES = "select id as entity, version, deleted from {0}"
KNOWN = {
    "activities.refs": OF_COPIES.format("record_ref"),
    "activities.timeline": "select record_id as entity, (array_agg(version order by at, id))[count(*)] as version,"
    " false as deleted from timeline_event group by record_id",
    "activities.follow_up": "select * from inbox_position where consumer = 'activities.follow_up'",
    "insights.leads": OF_COPIES.format("lead_ref"),
    "insights.deals": OF_COPIES.format("deal"),
}
"""The version of each record in each group, from its stored data."""
GROUPS = {
    "activities": ("activities.refs", "activities.timeline", "activities.follow_up"),
    "insights": ("insights.leads", "insights.deals"),
}
ENTITIES = {
    "insights.leads": ("lead",),
    "insights.deals": ("opportunity",),
    "activities.follow_up": ("opportunity",),
}


def parties(stage: Stage) -> dict[str, Party]:
    return {
        "sales": Party(SALES, SALES_CONSUMERS, stage.database_url("sales")),
        "activities": Party(ACTIVITIES, ACTIVITIES_CONSUMERS, stage.database_url("activities")),
        "insights": Party(INSIGHTS, INSIGHTS_CONSUMERS, stage.database_url("insights")),
    }


async def crm_events(stage: Stage, *argv: str) -> int:
    """Run ``crm events …``, which has an event loop of its own."""
    return await asyncio.to_thread(commands.main, argv, parties(stage), stage.amqp_url)


async def caught_up(stage: Stage) -> None:
    """Wait until every group has received everything that sales has published."""

    async def condition() -> bool:
        for service, groups in GROUPS.items():
            async with stage.connect("sales") as sales, stage.connect(service) as copy:
                for group in groups:
                    tables = ENTITIES.get(group, ("lead", "opportunity", "account", "contact"))
                    union = " union all ".join(f"select id, version from {table}" for table in tables)
                    rows = await sales.fetch(union)
                    wanted = [row["id"] for row in rows], [row["version"] for row in rows]
                    if await copy.fetchval(BEHIND.format(KNOWN[group]), *wanted):
                        return False
        return True

    await until(condition, "everybody is where sales is", seconds=120)


@asynccontextmanager
async def backup_of_sales(stage: Stage, restored: list[str]) -> AsyncIterator[None]:
    """Back up sales, and restore it at the end of the block. There must be no connections at either moment."""
    operator = await asyncpg.connect(stage.machines.database_url)
    name = stage.database("sales")
    try:
        await operator.execute(f'create database "{name}_backup" template "{name}"')
        yield
        await operator.execute(f'drop database "{name}" with (force)')
        await operator.execute(f'alter database "{name}_backup" rename to "{name}"')
        restored.append(name)
    finally:
        if not restored:
            await operator.execute(f'drop database if exists "{name}_backup" with (force)')
        await operator.close()


@asynccontextmanager
async def working(stage: Stage) -> AsyncIterator[list[Any]]:
    """Add insights to sales and activities."""
    async with database_of_insights(stage):
        keys, caps = {"insights": INSIGHTS_CONSUMERS.routing_keys()}, topology.Caps(log_bytes=LOG_BYTES)
        await topology.apply(keys, stage.amqp_url, stage.machines.management_url, caps=caps)
        members = await stage.started(
            ("sales", "api"), ("sales", "worker"), ("activities", "worker"), ("insights", "worker")
        )
        yield members
        await asyncio.gather(*(member.kill() for member in members))


async def a_lead(driver: Driver, name: str) -> UUID:
    return UUID((await driver.command("/leads", {"topic": name, "company_name": name}))["id"])


async def shown(stage: Stage, lead: UUID) -> dict[str, Any]:
    """Return the other services' data of a lead."""
    async with stage.connect("activities") as activities, stage.connect("insights") as insights:
        return {
            "name": await activities.fetchval("select name from record_ref where id = $1 and not deleted", lead),
            "timeline": await activities.fetchval("select count(*) from timeline_event where record_id = $1", lead),
            "funnel": await insights.fetchval("select status from lead_ref where id = $1 and not deleted", lead),
        }


async def told(stage: Stage) -> int:
    """Return the number of sales' events in timelines."""
    async with stage.connect("activities") as conn:
        return int(await conn.fetchval("select count(*) from timeline_event where type like 'crm.sales.%'"))


async def test_everybody_follows_a_restored_service_and_forgets_its_lost_future(
    stage: Stage, drive: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    restored: list[str] = []
    async with working(stage) as (api, worker, *_), drive(api.url) as driver:
        await driver.tell(deal_story, 4)
        kept, deleted = await a_lead(driver, "kept"), await a_lead(driver, "disqualified later")
        won_before = await deal(driver, "kept deal")
        await caught_up(stage)
        told_before = await told(stage)
        await asyncio.gather(api.kill(), worker.kill())
        async with backup_of_sales(stage, restored):
            await asyncio.gather(api.start(), worker.start())
            for verb in ("contact", "disqualify", "reopen"):
                await driver.command(f"/leads/{kept}/{verb}")
            await driver.command(f"/leads/{deleted}/disqualify")
            await driver.command(f"/opportunities/{won_before}/win")
            lost = await a_lead(driver, "lost")
            await caught_up(stage)
            told_meanwhile = await told(stage) - told_before
            assert await shown(stage, lost) == {"name": "lost", "timeline": 1, "funnel": "open"}
            await asyncio.gather(api.kill(), worker.kill())

        capsys.readouterr()
        assert await crm_events(stage, "compare", "--json", "--settle", "20") == 1
        report = json.loads(capsys.readouterr().out)
        found = {group["group"]: group for group in report["groups"] if group["source"] == "/crm/sales"}
        assert found["insights.leads"]["counts"] == {"missing": 0, "extra": 1, "behind": 0, "ahead": 2}
        assert set(found["insights.leads"]["ids"]["ahead"]) == {str(kept), str(deleted)}
        assert found["activities.refs"]["ids"]["extra"] == [str(lost)]
        assert found["activities.follow_up"]["ids"]["ahead"] == [str(won_before)]
        assert found["activities.timeline"]["counts"]["extra"] == told_meanwhile

        assert await crm_events(stage, "epoch", "sales", "--reason", "the disk died") == 0
        await asyncio.gather(api.start(), worker.start())
        await driver.command(f"/leads/{kept}/contact")
        await driver.command(f"/opportunities/{won_before}/win")
        await caught_up(stage)
        assert await crm_events(stage, "compare", "--settle", "20") == 0, capsys.readouterr().out
        assert await shown(stage, lost) == {"name": None, "timeline": 0, "funnel": None}
        assert (await shown(stage, kept))["timeline"] == 2
        async with stage.connect("activities") as conn:
            # It was won twice: in the lost time, and in the current one.
            about = await conn.fetchval("select count(*) from task where regarding_id = $1", UUID(won_before))
            unfinished = await conn.fetchval("select count(*) from inbox where state not in ('done', 'skipped')")
        assert (about, unfinished) == (2, 0)


async def deal(driver: Driver, name: str) -> str:
    """Create an open deal. Return its id."""
    value = {"amount": "1200.00", "currency": "EUR"}
    lead = await driver.command("/leads", {"topic": name, "company_name": name, "estimated_value": value})
    lead = await driver.command(f"/leads/{lead['id']}/qualify", {"allow_duplicates": True})
    return str(lead["opportunity_id"])


async def test_copies_are_rebuilt_while_writes_go_on(
    stage: Stage, drive: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    async with working(stage) as (api, *_), drive(api.url) as driver:
        await driver.tell(deal_story, 12)
        await caught_up(stage)
        async with stage.connect("activities") as activities, stage.connect("insights") as insights:
            lost = await insights.fetchval(
                "delete from lead_ref where id = (select id from lead_ref limit 1) returning id"
            )
            await activities.execute("update record_ref set name = 'wrong', version = version - 1 where type = 'lead'")
            tasks = await activities.fetchval("select count(*) from task")
            readers: list[int] = []

            async def read() -> None:
                while True:
                    readers.append(await insights.fetchval("select count(*) from lead_ref where not deleted"))
                    await asyncio.sleep(0)

            reading = asyncio.create_task(read())
            async with driver.telling(deal_story):
                codes = await asyncio.gather(
                    crm_events(stage, "rebuild", "insights"),
                    crm_events(stage, "rebuild", "insights", "insights.leads", "--from", "sales"),
                    crm_events(stage, "rebuild", "activities", "activities.refs"),
                )
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        assert list(codes) == [0, 0, 0]
        await caught_up(stage)
        assert await crm_events(stage, "compare", "--settle", "20") == 0, capsys.readouterr().out
        assert readers == sorted(readers)
        async with stage.connect("activities") as activities, stage.connect("insights") as insights:
            assert await insights.fetchval("select count(*) from lead_ref where id = $1", lost) == 1
            assert await activities.fetchval("select count(*) from record_ref where name = 'wrong'") == 0
            causes = await activities.fetchval(
                "select count(distinct correlation_id) from audit where entity_type = 'task'"
            )
            assert await activities.fetchval("select count(*) from task") == causes > tasks
