"""Files of leads: generated ones, and the bank's."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import aiohttp

from bench.bank import leads_file, rows
from bench.data import people
from bench.driver import LoadFailed
from bench.leads import API, connect, empty
from bench.report import Sample, Side
from bench.scenes import Options
from bench.suite import Suite
from crm_kit import clock


async def csv_import(suite: Suite, count: int) -> Sample:
    """Return the leads per second from the first chunk to the last, with events, audit and all consumers."""
    return await imported(suite, made_up_file(count), count)


def made_up_file(count: int) -> bytes:
    """Return this many leads as CSV."""
    lines = ["topic,first_name,last_name,company_name,email,phone,source,rating,description"]
    for person in people(count, seed=11):
        cells = (person.topic, person.first_name, person.last_name, person.company, person.email, person.phone)
        lines.append(",".join((*cells, person.source, person.rating, "Met at the fair")))
    return "\n".join(lines).encode()


async def imported(suite: Suite, file: bytes, count: int, deaths: int = 0) -> Sample:
    """Return the leads per second of one import. The sales worker is killed this many times at even distances."""
    job = await ended(suite, file, count, deaths)
    started, finished = (datetime.fromisoformat(job[key]) for key in ("started_at", "finished_at"))
    caught_up = await suite.settled()
    return Sample(count / (finished - started).total_seconds(), 0, {"caught_up_after": caught_up})


async def ended(suite: Suite, file: bytes, count: int, deaths: int = 0, look_seconds: float = 0.1) -> dict[str, Any]:
    """Wait for the end of an import and return its job. It is polled rarely, because polls also load the suite."""
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
                job: dict[str, Any] = await response.json()
            if job["status"] not in ("queued", "running"):
                break
            if killed < deaths and job["done"] >= count * (killed + 1) / (deaths + 1):
                os.kill(await suite.pid("sales-worker"), signal.SIGKILL)
                killed += 1
            await asyncio.sleep(look_seconds)
    if (job["status"], job["done"], killed) != ("completed", count, deaths):
        raise LoadFailed(f"{job['done']} of {count} rows were imported, {killed} deaths: {job}")
    return job


@asynccontextmanager
async def bank(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """The bank's people. Each row has a number, so that missing and duplicate rows are detected."""
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
