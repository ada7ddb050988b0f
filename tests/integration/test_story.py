"""The first part of the bank's story, through the gateway alone, with a plain AMQP client listening."""

import asyncio
import csv
import io
import json
from collections import defaultdict
from typing import Any

import aio_pika
import aiohttp

from tests.integration.suite import Person, Suite

PEOPLE = [
    ("Ada", "Lovelace", "Analytical Engines Ltd", "ada@engines.example", "1200.00"),
    ("花子", "佐藤", "大和商事株式会社", "hanako@yamato.example", "2500.00"),
    ("小明", "王", "東方貿易有限公司", "xiaoming@dongfang.example", "800.50"),
    ("", "", "", "nobody@example.org", "1.00"),
]


def leads_file() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["Given name", "Family name", "Firm", "Mail", "Worth"])
    writer.writerows(PEOPLE)
    return text.getvalue().encode()


async def test_a_lead_becomes_a_customer_and_everybody_hears_of_it(suite: Suite, administrator: Person) -> None:
    listener = await Listener.start(suite)
    job = await imported(administrator)
    assert (job["total"], job["done"], job["failed"]) == (4, 3, 1)

    found = await administrator.send("GET", "/leads?q=" + "佐藤")
    assert [lead["company_name"] for lead in found["items"]] == ["大和商事株式会社"]
    lead = found["items"][0]
    path = f"/leads/{lead['id']}"

    contacted = await administrator.send("POST", f"{path}/contact")
    assert contacted["status_reason"] == "contacted"
    edited = await administrator.send("PATCH", path, {"rating": "hot"}, headers={"If-Match": '"2"'})
    assert edited["version"] == 3
    stale = await administrator.send("PATCH", path, {"rating": "cold"}, headers={"If-Match": '"2"'}, status=412)
    assert stale["type"] == "/problems/stale"

    qualified = await administrator.send("POST", f"{path}/qualify")
    assert qualified["status"] == "qualified"
    account = await administrator.send("GET", f"/accounts/{qualified['account_id']}")
    contact = await administrator.send("GET", f"/contacts/{qualified['contact_id']}")
    assert (account["name"], contact["full_name"]) == ("大和商事株式会社", "花子 佐藤")

    deal_path = f"/opportunities/{qualified['opportunity_id']}"
    stages = (await administrator.send("GET", "/sales-stages?sort=position"))["items"]
    advanced = await administrator.send("POST", f"{deal_path}/advance", {"stage_id": stages[2]["id"]})
    assert (advanced["stage"], advanced["probability"]) == ("propose", 60)
    won = await administrator.send("POST", f"{deal_path}/win", {})
    assert won["actual_value"] == {"amount": "2500.00", "currency": "EUR"}
    assert won["allowed_actions"] == ["reopen", "assign"]

    timeline = (await administrator.send("GET", f"/timeline?regarding={lead['id']}"))["items"]
    types = [item["type"] for item in timeline]
    assert "task" in types
    for fact in ("lead.created", "lead.contacted", "lead.qualified", "opportunity.stage_changed", "opportunity.won"):
        assert f"crm.sales.{fact}.v1" in types, f"{fact} is missing from the story: {types}"
    tasks = (await administrator.send("GET", f"/tasks?regarding.id={won['id']}"))["items"]
    assert [task["regarding"]["id"] for task in tasks] == [won["id"]]

    wanted = {
        lead["id"]: ["created", "contacted", "updated", "qualified"],
        won["id"]: ["created", "stage_changed", "won"],
        account["id"]: ["created", "updated"],
        contact["id"]: ["created"],
        tasks[0]["id"]: ["created"],
    }
    heard = await listener.hears(wanted)
    for record, facts in wanted.items():
        assert [event["type"].split(".")[3] for event in heard[record]] == facts
        assert [event["entityversion"] for event in heard[record]] == list(range(1, len(facts) + 1))


async def imported(person: Person) -> dict[str, Any]:
    mapping = {
        "Given name": "first_name",
        "Family name": "last_name",
        "Firm": "company_name",
        "Mail": "email",
        "Worth": "estimated_value.amount",
        "=EUR": "estimated_value.currency",
        "=Gold card": "topic",
        "=campaign": "source",
    }
    form = aiohttp.FormData({"mapping": json.dumps(mapping)})
    form.add_field("file", leads_file(), filename="leads.csv", content_type="text/csv")
    await person.send("POST", "/leads/import", form, status=202)
    place = person.location.removeprefix("/api/v1")
    async with asyncio.timeout(30):
        while True:
            job = await person.send("GET", place)
            if job["status"] == "completed":
                break
            await asyncio.sleep(0.1)
    async with person.session.get(f"/api/v1{place}/errors") as answer:
        rows = list(csv.reader(io.StringIO(await answer.text())))
    assert rows[0][:4] == ["row", "column", "code", "message"]
    assert [row[0] for row in rows[1:]] == ["5"]
    return job


class Listener:
    """Another system: its own user and queue, made as docs/subscribing.md says."""

    def __init__(self, queue: aio_pika.abc.AbstractQueue, connection: aio_pika.abc.AbstractConnection) -> None:
        self._queue, self._connection = queue, connection

    @classmethod
    async def start(cls, suite: Suite) -> "Listener":
        printed = suite.crm("topology", "subscribe", "bank-archive", "--bind", "crm.#")
        url = printed.rpartition("AMQP URL")[2].strip()
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        return cls(await channel.get_queue("ext.bank-archive.events"), connection)

    async def hears(self, wanted: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
        """The events of these records, once all that are wanted have come."""
        heard: dict[str, list[dict[str, Any]]] = defaultdict(list)
        async with asyncio.timeout(30), self._queue.iterator() as messages:
            async for message in messages:
                event = json.loads(message.body)
                assert message.content_type == "application/cloudevents+json"
                assert (event["specversion"], event["id"]) == ("1.0", message.message_id)
                heard[event["subject"]].append(event)
                await message.ack()
                if all(len(heard[record]) >= len(facts) for record, facts in wanted.items()):
                    break
        await self._connection.close()
        return heard
