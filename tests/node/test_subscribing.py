"""The programs of docs/subscribing.md, run as printed, read the queue of a real subscriber at a real broker."""

import asyncio
import json
import re
import sqlite3
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crm_contracts.examples import example
from crm_contracts.sales.opportunity import OpportunityCreated, OpportunityDeleted, OpportunityUpdated
from crm_kit.broker.messages import Outcome, outgoing
from crm_kit.broker.names import EVENTS
from crm_kit.broker.publishing import Publisher
from crm_kit.operating.subscribers import At, Subscription, add, remove
from crm_kit.store.record import new_id
from crm_kit.testing.rabbit import Rabbit
from tests.node.tools import Node

GUIDE = Path(__file__).parents[2] / "docs" / "subscribing.md"
PATIENCE_SECONDS = 240
"""The limit for a machine that is busy with other tests."""
LANGUAGES = ("python", "javascript")


def printed(language: str) -> str:
    """Return the only program of the guide in this language."""
    [program] = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    return str(program)


@dataclass
class Program:
    """A program of the guide, with a store that outlives its processes."""

    command: tuple[str, ...]
    directory: Path
    subscription: Subscription

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Process]:
        environment = {
            "AMQP_URL": self.subscription.amqp_url,
            "QUEUE": self.subscription.queue,
            "STORE": str(self.directory / "store.db"),
            "PAUSE_SECONDS": "0.05",
        }
        process = await asyncio.create_subprocess_exec(
            *self.command, cwd=self.directory, env=environment, stdin=DEVNULL
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what the store has; nothing until the program has made its tables."""
        with closing(sqlite3.connect(self.directory / "store.db", timeout=30)) as db:
            if not db.execute("select 1 from sqlite_master where name = 'deal'").fetchone():
                return []
            return db.execute(query).fetchall()

    async def until(self, process: Process, query: str, wanted: list[tuple[Any, ...]]) -> None:
        """Wait until the store answers this."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (found := self.rows(query)) != wanted:
                assert process.returncode is None, f"it ended, and had {found}"
                await asyncio.sleep(0.05)


@pytest.fixture(params=LANGUAGES)
async def program(request: pytest.FixtureRequest, rabbit: Rabbit, node: Node, tmp_path: Path) -> AsyncIterator[Program]:
    language: str = request.param
    at = At(rabbit.amqp_url, rabbit.management_url)
    source = tmp_path / ("program.py" if language == "python" else "program.mjs")
    source.write_text(printed(language))
    node.link(tmp_path)
    interpreter = sys.executable if language == "python" else str(node.program)
    yield Program((interpreter, str(source)), tmp_path, await add(language, ["crm.sales.opportunity.#"], at))
    await remove(language, at)


def deal(version: int, record: str, **changed: Any) -> dict[str, Any]:
    """An event of a deal. A changed field that is None is missing."""
    event = example({1: OpportunityCreated, 9: OpportunityDeleted}.get(version, OpportunityUpdated))
    event |= {"id": str(new_id()), "subject": record, "entityversion": version}
    event["data"]["record"] |= {"id": record, "version": version, **changed}
    for field in [name for name, value in changed.items() if value is None]:
        del event["data"]["record"][field]
    return event


Send = Callable[..., Any]


@pytest.fixture
async def send(rabbit: Rabbit) -> AsyncIterator[Send]:
    publisher = Publisher(rabbit.amqp_url, name="events")

    async def send(*events: dict[str, Any] | bytes) -> None:
        for event in events:
            body = event if isinstance(event, bytes) else json.dumps(event).encode()
            message = outgoing(body, "crm.sales.opportunity.updated.v1", message_id=str(new_id()), headers={})
            assert await publisher.publish(EVENTS, [message], seconds=60) == [Outcome.CONFIRMED]

    yield send
    await publisher.close()


async def test_a_program_of_the_guide_applies_once_in_order_and_parks_what_it_cannot(
    program: Program, send: Send
) -> None:
    good, bad, lost = (str(new_id()) for _ in range(3))
    deals = f"select version, deleted, name from deal where id = '{good}'"
    first, second = deal(1, good, name="One"), deal(2, good, name="Two")
    async with program.running() as process:
        await send(b"no event", deal(1, bad, name=None), deal(2, bad, name="Behind it"))
        await send(first, second, first, deal(1, lost, name="Lost"), deal(4, lost, name="Found"))
        await program.until(process, deals, [(2, 0, "Two")])
        await program.until(process, "select subject, tries from event where state = 'parked'", [(bad, 5)])
        await program.until(process, "select subject, after, before from gap", [(lost, 1, 4)])
        assert program.rows(f"select * from deal where id = '{bad}'") == [], "it waits behind the parked one"
        assert program.rows("select count(*) from unreadable") == [(1,)]
    await send(second, first, deal(3, good, name="Three"), deal(9, good, name="Three"))
    async with program.running() as process:
        await program.until(process, deals, [(9, 1, "Three")])
        done = f"select count(*) from event where subject = '{good}' and state = 'done'"
        assert program.rows(done) == [(4,)], "each event once, also over a restart"
        assert program.rows(f"select version from event where subject = '{bad}' and state = 'new'") == [(2,)]
