"""Fifty callers qualify one lead at the same moment."""

import asyncio

import aiohttp

from crm_kit.testing.figures import Figures
from crm_kit.testing.issuer import Issuer
from crm_kit.testing.people import principal

from .conftest import Drive
from .judging import calm, read_books, read_effects
from .stage import Stage

CALLERS = 50


async def test_of_fifty_concurrent_qualifications_one_wins(
    stage: Stage, drive: Drive, issuer: Issuer, figures: Figures
) -> None:
    api, *_ = await stage.started(("sales", "api"), ("sales", "worker"), ("activities", "worker"))
    async with drive(api.url) as driver:
        lead = await driver.command("/leads", {"topic": "Fleet", "company_name": "Analytical Engines"})
    tokens = [issuer.token(principal()) for _ in range(CALLERS)]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def qualify(token: str) -> tuple[int, str]:
            url = f"{api.url}/api/v1/leads/{lead['id']}/qualify"
            async with session.post(url, headers={"authorization": f"Bearer {token}"}) as answer:
                return answer.status, str((await answer.json(content_type=None)).get("type"))

        answers = await asyncio.gather(*(qualify(token) for token in tokens))
    await calm(stage)
    async with stage.connect("sales") as conn:
        made = {
            table: await conn.fetchval(f"select count(*) from {table}")
            for table in ("account", "contact", "opportunity")
        }
        events = await conn.fetchval("select count(*) from outbox where type = 'crm.sales.lead.qualified.v1'")
    statuses = [status for status, _ in answers]
    figures(callers=CALLERS, won=statuses.count(200), conflicts=statuses.count(409), events=events, **made)
    assert sorted(statuses) == [200] + [409] * (CALLERS - 1)
    assert {slug for status, slug in answers if status == 409} == {"/problems/illegal-transition"}
    assert made == {"account": 1, "contact": 0, "opportunity": 1}
    assert events == 1
    assert (await read_books(stage, "sales")).balanced
    assert (await read_effects(stage)).exactly_once
