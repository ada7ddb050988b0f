"""Processes are replaced while users work: no request fails, and every event takes effect once."""

import asyncio
import json
import secrets
from collections import Counter
from uuid import UUID

import aiohttp
import asyncpg

from crm_kit.testing.figures import Figures
from crm_local.suite import in_database
from tests.integration.suite import ADMINISTRATOR, Suite

CLIENTS = 2
PACE_SECONDS = 0.03
REPLACED = ("gateway-api", "sales-api", "sales-worker", "activities-worker")
LATER_REQUESTS = 10
"""Requests of each client after the last process was replaced."""

PUBLISHED = "select id, count(*) over () from outbox where type = 'crm.sales.lead.created.v1' and entity_id = any($1)"
PENDING = "select count(*) from outbox where state = 'pending'"
APPLIED = "select count(*) from timeline_event e join record_ref r on r.id = e.record_id where e.id = any($1)"


class Crowd:
    """Clients that keep their connection, and clients that open one for each request. None of them retries."""

    def __init__(self, suite: Suite, token: str) -> None:
        self._url, self._headers = suite.gateway, {"Authorization": f"Bearer {token}"}
        self.topic = secrets.token_hex(8)
        self.answers: Counter[int] = Counter()
        self.made: list[UUID] = []
        self._until: asyncio.Event = asyncio.Event()

    async def work(self, *, keeps: bool) -> None:
        connector = aiohttp.TCPConnector(limit=1, force_close=not keeps)
        async with aiohttp.ClientSession(self._url, headers=self._headers, connector=connector) as session:
            # The client would otherwise repeat some requests.
            session._retry_connection = False
            left = LATER_REQUESTS
            while left:
                left -= self._until.is_set()
                await self._create(session)
                async with session.get("/api/v1/leads?limit=1") as answer:
                    await answer.read()
                    self.answers[answer.status] += 1
                await asyncio.sleep(PACE_SECONDS)

    async def _create(self, session: aiohttp.ClientSession) -> None:
        body = {"topic": self.topic, "last_name": secrets.token_hex(8)}
        async with session.post("/api/v1/leads", json=body) as answer:
            self.answers[answer.status] += 1
            if answer.status == 201:
                self.made.append(UUID((await answer.json())["id"]))

    def finish(self) -> None:
        self._until.set()


async def test_no_request_fails_and_no_event_is_lost_while_processes_are_replaced(
    suite: Suite, figures: Figures
) -> None:
    form = {"grant_type": "password", "username": ADMINISTRATOR, "password": suite.environment["CRM_ADMIN_PASSWORD"]}
    async with aiohttp.ClientSession(suite.gateway) as session, session.post("/api/v1/auth/token", data=form) as answer:
        token = (await answer.json())["access_token"]
    before = _pids(suite)
    crowd = Crowd(suite, token)
    async with asyncio.timeout(240), asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(crowd.work(keeps=True))
            group.create_task(crowd.work(keeps=False))
        said = await asyncio.to_thread(suite.crm, "restart", *REPLACED)
        crowd.finish()
    assert said.count("the new process was ready") == len(REPLACED)
    after = _pids(suite)
    assert {name for name in after if after[name] != before[name]} == set(REPLACED)
    assert set(crowd.answers) == {200, 201}, crowd.answers
    figures(requests=crowd.answers.total(), replaced=len(REPLACED), failed=0)
    await _every_event_once(suite, crowd)


def _pids(suite: Suite) -> dict[str, int]:
    return {one["name"]: one["pid"] for one in json.loads(suite.crm("status", "--json"))["services"]}


async def _connected(suite: Suite, service: str) -> "asyncpg.Connection[asyncpg.Record]":
    name = f"{suite.status['instance']}_crm_{service}"
    return await asyncpg.connect(in_database(suite.status["database_url"], name))


async def _every_event_once(suite: Suite, crowd: Crowd) -> None:
    sales, activities = await _connected(suite, "sales"), await _connected(suite, "activities")
    try:
        made = await sales.fetch("select id from lead where topic = $1", crowd.topic)
        assert sorted(row["id"] for row in made) == sorted(crowd.made)
        published = await sales.fetch(PUBLISHED, crowd.made)
        assert len(published) == len(crowd.made)
        events = [row["id"] for row in published]
        async with asyncio.timeout(120):
            while await sales.fetchval(PENDING) or await activities.fetchval(APPLIED, events) < len(events):  # noqa: ASYNC110  # other processes work
                await asyncio.sleep(0.05)
        assert await activities.fetchval(APPLIED, events) == len(events)
    finally:
        await sales.close()
        await activities.close()
