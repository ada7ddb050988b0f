"""`crm demo` on a running suite."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from cloudevents.core.formats.json import JSONFormat

from tests.integration.suite import Person, Suite
from tests.node.tools import SCRIPTS, Node

TRAIL = (
    "crm.marketing.campaign.launched.v1",
    "crm.sales.lead.created.v1  40 times",
    "crm.activities.phone_call.completed.v1",
    "crm.sales.lead.qualified.v1",
    "crm.sales.price_list_item.created.v1",
    "crm.sales.quote.won.v1",
    "crm.sales.order.fulfilled.v1",
    "crm.sales.invoice.issued.v1",
    "crm.sales.invoice.paid.v1",
    "crm.sales.opportunity.won.v1",
    "crm.activities.task.created.v1",
    "crm.service.case.held.v1",
    "crm.service.case.resolved.v1",
)


@pytest.fixture(params=["first time", "customers on win"])
async def time(request: pytest.FixtureRequest, administrator: Person) -> AsyncIterator[str]:
    """The second time, customers are created when deals are won."""
    settings, headers = "/settings/sales", {"if-match": "*"}
    before = (await administrator.send("GET", settings))["customer_creation"]
    if request.param == "customers on win":
        await administrator.send("PATCH", settings, {"customer_creation": "on_win"}, headers=headers)
    yield request.param
    await administrator.send("PATCH", settings, {"customer_creation": before}, headers=headers)


async def test_the_story_plays_on_what_earlier_ones_left(suite: Suite, time: str) -> None:
    told = await asyncio.to_thread(suite.crm, "demo")
    places = [told.find(event) for event in TRAIL]
    assert -1 not in places, f"{time}: {TRAIL[places.index(-1)]} is missing from {told}"
    assert places == sorted(places)
    assert re.search(r"6 months at 20\.00 EUR, less 2\.00 EUR each: 128\.52 EUR with tax; INV-\d+ is paid", told), told
    assert re.search(r": won, 128\.52 EUR", told), told
    assert re.search(r"qualified +│ 10 ", told), told
    assert re.search(r"won +│ 3 ", told), told
    assert re.search(r"cases +│ The bill for May is wrong ", told), told
    assert re.search(r"^ +leads +40 █+", told, re.MULTILINE), told
    assert re.search(r"^ +won +3 +█+", told, re.MULTILINE), told


async def test_sdks_of_cloudevents_take_every_event_of_it(suite: Suite, node: Node, tmp_path: Path) -> None:
    printed = await asyncio.to_thread(suite.crm, "subscribers", "add", "sdk", "--bind", "crm.#", "--everything")
    await asyncio.to_thread(suite.crm, "demo")
    events = await held(printed.rpartition("AMQP URL")[2].strip(), "ext.sdk.events")
    await asyncio.to_thread(suite.crm, "subscribers", "remove", "sdk")
    assert len({event["type"] for event in events}) >= len(TRAIL)
    for event in events:
        assert JSONFormat().read(None, json.dumps(event)).get_dataschema() == event["dataschema"]
    path = tmp_path / "events.json"
    path.write_text(json.dumps(events))
    told = await asyncio.to_thread(node.run, SCRIPTS / "cloudevents.mjs", path, cwd=SCRIPTS)
    assert told.strip() == f"{len(events)} events"


async def held(url: str, queue: str) -> list[dict[str, Any]]:
    """Return the events that a queue holds."""
    found = []
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        source = await channel.get_queue(queue)
        while (message := await source.get(no_ack=True, fail=False)) is not None:
            found.append(json.loads(message.body))
    return found


def test_everybody_has_of_the_others_what_they_have(suite: Suite) -> None:
    suite.crm("demo")
    found = json.loads(suite.crm("events", "compare", "--json"))
    assert not found["diverged"], [group for group in found["groups"] if any(group["counts"].values())]
    compared = {group["service"] for group in found["groups"] if group["compared"]}
    assert compared == {"activities", "gateway", "identity", "insights", "marketing", "sales", "service"}
    suite.crm("events", "rebuild", "activities")
    assert not json.loads(suite.crm("events", "compare", "--json"))["diverged"]


def test_nobody_plays_where_nothing_runs(suite: Suite) -> None:
    answer = suite.crm_fails("demo", "--gateway", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 does not answer" in answer
