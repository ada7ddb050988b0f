"""Memory of large requests is released, and refused requests take none."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import orjson
import pytest

from crm_contracts.access import Depth
from crm_kit.testing import Client, grants, principal
from crm_kit.testing.databases import Databases
from crm_kit.testing.figures import Figures
from crm_kit.testing.issuer import Issuer
from crm_local.ports import choose
from tests.conftest import service_of

BODIES = {
    "unknown members": orjson.dumps({f"k{number}": 1 for number in range(90_000)}),
    "lines": orjson.dumps({"name": "a", "lines": [{"foo": 1}] * 90_000}),
    "as many lines as there may be": orjson.dumps({"name": "a", "lines": [{f"k{n}": 1 for n in range(35)}] * 500}),
    "one long text": orjson.dumps({"name": "a" * 1_000_000}),
}


def mebibytes(pid: int) -> float:
    """Return the memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


@pytest.fixture(scope="module")
def sales(databases: Databases, issuer: Issuer) -> Iterator[tuple[int, str]]:
    """An API process of sales: its pid and its address."""
    database, [port] = databases.of(service_of("crm_sales")), choose(1)
    environment = {
        **os.environ,
        "CRM_SERVICE": "sales",
        "CRM_ROLE": "api",
        "CRM_SECRET": "s",
        "CRM_PORT": str(port),
        "DATABASE_URL": database.url,
        "CRM_JWKS_URL": issuer.jwks_url,
    }
    process = subprocess.Popen([sys.executable, "-c", "from crm_sales.main import run; run()"], env=environment)
    yield process.pid, f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


async def ready(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(180):
        while True:
            try:
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status in (200, 503):
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def test_memory_is_given_back(
    sales: tuple[int, str], http: aiohttp.ClientSession, issuer: Issuer, figures: Figures
) -> None:
    pid, url = sales
    await ready(http, url)
    told = {"content-type": "application/json"}
    nobody = Client(http, url, issuer.token(principal(privileges=grants(Depth.NONE))))
    holder = Client(http, url, issuer.token(principal()))
    for client in (nobody, holder):
        await client.post("/api/v1/opportunities", body=b"{}", headers=told)
    began = mebibytes(pid)
    for _ in range(20):
        answer = await nobody.post("/api/v1/opportunities", body=BODIES["lines"], headers=told)
        assert answer.status == 403
    refused = mebibytes(pid)
    assert refused < began + 16
    for body in BODIES.values():
        for _ in range(10):
            answer = await holder.post("/api/v1/opportunities", body=body, headers=told)
            assert answer.status == 422
            assert len(answer.body) < 8192
    loaded = mebibytes(pid)
    until = time.monotonic() + 240
    while mebibytes(pid) > began + 40 and time.monotonic() < until:
        # Time passes with requests, as in a real service.
        assert (await holder.get("/api/v1/opportunities")).status == 200
        await asyncio.sleep(0.5)
    assert mebibytes(pid) <= began + 40
    figures(
        began=round(began),
        after_forbidden=round(refused),
        after_invalid=round(loaded),
        in_the_end=round(mebibytes(pid)),
    )
