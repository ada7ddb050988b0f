"""Clients that repeat commands until they are acknowledged, and the ledger of acknowledged commands."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson

from crm_kit.clock import monotonic

PATIENCE_SECONDS = 90
RETRY_SECONDS = 0.1


@dataclass
class Ledger:
    """The commands that were acknowledged with 2xx."""

    keys: set[str] = field(default_factory=set)
    versions: dict[tuple[str, UUID], int] = field(default_factory=dict)
    """The last version of each record by ``Crm-Version``: what must be in the database, no more and no less."""
    answers: Counter[str] = field(default_factory=Counter)
    """The number of each status, of ``lost`` (no answer) and of ``replayed`` (a retry of a command that had taken
    effect)."""
    retry_after_missing: int = 0
    longest_seconds: float = 0.0

    def note(self, key: str, crm_version: str) -> None:
        """Record an acknowledged command."""
        self.keys.add(key)
        for entry in crm_version.split(", "):
            entity, _, rest = entry.partition("/")
            record_id, _, version = rest.partition("@")
            record = (entity, UUID(record_id))
            self.versions[record] = max(int(version), self.versions.get(record, 0))

    def reaches(self, commands: int) -> Callable[[], bool]:
        """Return the condition that this many more commands are acknowledged."""
        goal = len(self.keys) + commands
        return lambda: len(self.keys) >= goal


Story = Callable[["Driver", str], Awaitable[None]]


class Driver:
    """Sends commands to one API as one caller."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session, self._url, self._token = session, url, token
        self.ledger = Ledger()

    async def command(self, path: str, body: Any = None) -> dict[str, Any]:
        """POST with one Idempotency-Key for all attempts until a 2xx. Return the record."""
        key = str(uuid4())
        headers = {"authorization": f"Bearer {self._token}", "idempotency-key": key}
        data = None if body is None else orjson.dumps(body)
        if data is not None:
            headers["content-type"] = "application/json"
        began = monotonic()
        while True:
            record = await self._try(key, path, data, headers)
            if record is not None:
                self.ledger.longest_seconds = max(self.ledger.longest_seconds, monotonic() - began)
                return record
            assert monotonic() - began < PATIENCE_SECONDS, f"POST {path} was not acknowledged: {self.ledger.answers}"
            await asyncio.sleep(RETRY_SECONDS)

    async def _try(self, key: str, path: str, data: bytes | None, headers: dict[str, str]) -> dict[str, Any] | None:
        answers = self.ledger.answers
        try:
            async with self._session.post(f"{self._url}/api/v1{path}", data=data, headers=headers) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            answers["lost"] += 1
            return None
        answers[str(answer.status)] += 1
        if 200 <= answer.status < 300:
            answers["replayed"] += "idempotent-replayed" in answer.headers
            self.ledger.note(key, answer.headers["crm-version"])
            record: dict[str, Any] = orjson.loads(body)
            return record
        if answer.status in (429, 503) and "retry-after" not in answer.headers:
            self.ledger.retry_after_missing += 1
        in_progress = answer.status == 409 and b"in-progress" in body
        assert answer.status in (429, 503, 504) or in_progress, f"POST {path}: {answer.status} {body[:500]!r}"
        return None

    async def bring(self, rows: int) -> None:
        """Upload a file of this many leads. The worker imports them in the background."""
        form = aiohttp.FormData({"duplicates": "allow"})
        text = "topic,last_name\n" + "".join(f"Card,Import {number}\n" for number in range(rows))
        form.add_field("file", text.encode(), filename="leads.csv", content_type="text/csv")
        headers = {"authorization": f"Bearer {self._token}"}
        async with self._session.post(f"{self._url}/api/v1/leads/import", data=form, headers=headers) as answer:
            assert answer.status == 202, await answer.text()

    async def tell(self, story: Story, count: int, *, clients: int = 8) -> None:
        """Play a story this many times, several of them concurrently."""
        names = iter([uuid4().hex for _ in range(count)])

        async def client() -> None:
            for name in names:
                await story(self, name)

        await asyncio.gather(*(client() for _ in range(clients)))

    @asynccontextmanager
    async def telling(self, story: Story, *, clients: int = 4) -> AsyncIterator[None]:
        """Repeat a story while the block runs. At its end wait until all started ones are finished."""
        stopping = asyncio.Event()

        async def client() -> None:
            while not stopping.is_set():
                await story(self, uuid4().hex)

        running = [asyncio.create_task(client()) for _ in range(clients)]
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(*running)


async def lead_story(driver: Driver, name: str) -> None:
    """Create one record with four events."""
    lead = await driver.command("/leads", {"topic": name, "last_name": name})
    for verb in ("contact", "disqualify", "reopen"):
        await driver.command(f"/leads/{lead['id']}/{verb}")


async def deal_story(driver: Driver, name: str) -> None:
    """Win a deal made of a lead with a company. Activities makes a task of it."""
    value = {"amount": "1200.00", "currency": "EUR"}
    lead = await driver.command("/leads", {"topic": name, "company_name": name, "estimated_value": value})
    lead = await driver.command(f"/leads/{lead['id']}/qualify", {"allow_duplicates": True})
    await driver.command(f"/opportunities/{lead['opportunity_id']}/win")


async def mixed_story(driver: Driver, name: str) -> None:
    """Play both stories."""
    await lead_story(driver, name)
    await deal_story(driver, name + " deal")


@asynccontextmanager
async def a_driver(url: str, token: str) -> AsyncIterator[Driver]:
    """Yield a driver with its own connections, one for each concurrent request."""
    timeout = aiohttp.ClientTimeout(total=15)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield Driver(session, url, token)
