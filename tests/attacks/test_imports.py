"""Files that are meant to block the imports of others, or the service: they affect only their sender."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiohttp
import pytest
import structlog
from fastapi import FastAPI

from crm_kit.access.privileges import Depth, Principal
from crm_kit.configuration.settings import Settings
from crm_kit.importing.runner import ImportLoop
from crm_kit.process.runtime import Runtime, Service
from crm_kit.testing import Answer, Client, principal
from crm_kit.testing.figures import Figures
from crm_sales.app import SERVICE
from crm_sales.importers import IMPORTERS
from crm_sales.main import app

Clients = Callable[[Principal | None], Client]
IMPORT = "/api/v1/leads/import"
MIB = 1024 * 1024
HEADER = "topic,first_name,last_name,email\n"


@pytest.fixture(scope="session")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="session")
def make_app() -> Callable[[Settings], FastAPI]:
    return app


@pytest.fixture
async def worker(runtime: Runtime) -> AsyncIterator[ImportLoop]:
    """The import lanes of a worker during the test."""
    loop = ImportLoop(runtime, IMPORTERS)
    with structlog.testing.capture_logs():
        running = asyncio.create_task(loop.run())
        yield loop
        loop.stop()
        await running


def most_memory(*, anew: bool = False) -> float:
    """Return the greatest resident memory of this process in MiB, in total or since the last call with ``anew``."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


async def send(client: Client, content: str | bytes, name: str = "leads.csv", **fields: str) -> Answer:
    form = aiohttp.FormData(fields)
    form.add_field("file", content.encode() if isinstance(content, str) else content, filename=name)
    return await client.post(IMPORT, body=form)


async def over(client: Client, places: Sequence[str]) -> list[str]:
    """Return the statuses of these jobs once none of them waits."""
    async with asyncio.timeout(240):
        while True:
            found = [(await client.get(place)).json["status"] for place in places]
            if not {"queued", "running"} & set(found):
                return found
            await asyncio.sleep(0.1)


HOSTILE = {
    "a header too long": ("f.csv", f"topic,last_name,{'x' * 201}\na,One,bad\n"),
    "NUL in the header": ("f.csv", "topic,last_name,e\x00mail\na,One,bad\n"),
    "NUL in a key": ("f.ndjson", '{"topic":"a","last_name":"One","e\\u0000mail":"bad"}'),
    "a lone surrogate": ("f.ndjson", '{"topic":"a","last_name":"One","email":"\\ud800"}'),
    "NUL everywhere": ("f.csv", HEADER + "\x00,\x00,\x00,\x00\n"),
    "deep JSON": ("f.ndjson", '{"topic":"a","last_name":"One","email":' + "[" * 500 + "]" * 500 + "}"),
    "many keys": ("f.ndjson", "{" + ",".join(f'"k{n}":1' for n in range(90_000)) + "}"),
    "many columns": ("f.csv", ",".join(f"k{n}" for n in range(90_000)) + "\n"),
    "many cells": ("f.csv", HEADER + "," * 90_000 + "\n"),
    "a quote that never ends": ("f.csv", HEADER + '"' + "x,\n" * 700_000),
    "one name twice": ("f.csv", "topic,topic\n1,2\n"),
    "no line end": ("f.csv", "topic," * 20_000),
    "numbers out of range": ("f.ndjson", '{"topic":"a","last_name":"One","estimated_value.amount":1e999}'),
    "a list of very many": ("f.csv", "topic,last_name,channels\na,One," + ";" * 60_000 + "\n"),
    "errors in every field": ("f.csv", HEADER + f"{'x' * 60_000},{'y' * 60_000},{'z' * 60_000},{'@' * 60_000}\n"),
}


async def test_hostile_files_are_refused_or_end_and_hold_up_nobody(
    client_for: Clients, runtime: Runtime, worker: ImportLoop
) -> None:
    attacker, user, operator = (client_for(principal(depth)) for depth in (Depth.USER, Depth.USER, Depth.ORGANIZATION))
    taken: list[str] = []
    for what, (name, content) in HOSTILE.items():
        answer = await send(attacker, content, name)
        assert answer.status in (202, 413, 422, 429), (what, answer.status, answer.body[:500])
        if answer.status == 202:
            taken.append(answer.headers["location"])
        mapping = await send(attacker, HEADER + "a,b,c,d\n", mapping='{"=' + "\\u0000" * 50_000 + '":"topic"}')
        assert mapping.status in (202, 422, 429), (what, mapping.body[:500])
        if mapping.status == 202:
            taken.append(mapping.headers["location"])
    mine = (await send(user, HEADER + "Card,Ada,Lovelace,ada@example.org\n")).headers["location"]
    assert await over(user, [mine]) == ["completed"]
    assert (await user.get(mine)).json["done"] == 1
    assert set(await over(operator, taken)) == {"completed"}, "each row of theirs was imported or refused"
    assert sum(job["done"] for job in (await operator.get("/api/v1/leads/jobs?limit=200")).json["items"]) <= 4


@pytest.mark.parametrize("megabytes", [64, pytest.param(200, marks=pytest.mark.large)])
@pytest.mark.parametrize("name", ["leads.ndjson", "leads.csv"])
async def test_a_line_of_any_length_leaves_memory_as_it_was(
    client_for: Clients, runtime: Runtime, figures: Figures, megabytes: int, name: str
) -> None:
    client = client_for(principal(Depth.USER))
    first = b'{"topic":"a","last_name":"b"}\n' if name.endswith("ndjson") else HEADER.encode()

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="%s"\r\n\r\n' % name.encode() + first
        for _ in range(megabytes):
            yield b"x" * MIB
        yield b"\r\n--x--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert (await send(client, HEADER + "a,b,c,\n")).status == 202
    before = most_memory(anew=True)
    answer = await client.post(IMPORT, body=body(), headers=headers)
    grown = most_memory() - before
    figures(megabytes=megabytes, grown_mib=round(grown))
    assert (answer.status, answer.problem) == (422, "unreadable-file")
    assert "Line 2 " in answer.json["detail"]
    assert grown < 40


# For each file of the user: the rows imported for the other user between its arrival and its first row. Polling does
# not add to it.
ROWS_OF_OTHERS_MEANWHILE = """
select (select count(*) from lead o where o.owner_id = $1 and o.created_at between j.created_at and j.started_at)
from import_job j where j.principal_id <> $1
"""


@pytest.mark.parametrize("rows", [1_500, pytest.param(60_000, marks=pytest.mark.large)])
async def test_many_rows_of_few_names_do_not_keep_another_waiting(
    client_for: Clients, runtime: Runtime, worker: ImportLoop, figures: Figures, rows: int
) -> None:
    theirs = principal(Depth.USER)
    attacker, user = client_for(theirs), client_for(principal(Depth.USER))
    content = HEADER + "".join(f"Card,Ada,Lovelace {n % 3},a{n}@example.org\n" for n in range(rows))
    for _ in range(3):
        assert (await send(attacker, content, duplicates="report")).status == 202

    async def done_of(client: Client) -> int:
        return sum(job["done"] for job in (await client.get("/api/v1/leads/jobs")).json["items"])

    async with asyncio.timeout(120):
        while not await done_of(attacker):  # noqa: ASYNC110  # another process would do the work
            await asyncio.sleep(0.05)
    for _ in range(5):
        place = (await send(user, HEADER + "Card,Grace,Hopper,\n", duplicates="report")).headers["location"]
        assert await over(user, [place]) == ["completed"]
    async with runtime.db.autocommit() as conn:
        meanwhile = [row[0] for row in await conn.exec_driver_sql(ROWS_OF_OTHERS_MEANWHILE, (theirs.id,))]
    figures(rows=rows, rows_of_the_other_meanwhile=max(meanwhile))
    assert len(meanwhile) == 5
    # Two lanes are working on a chunk when the file arrives, and each can start one more before the job is visible.
    assert max(meanwhile) <= 8 * 50
    statuses = {job["status"] for job in (await attacker.get("/api/v1/leads/jobs")).json["items"]}
    assert statuses & {"queued", "running"}, "the other's rows were still waiting"
