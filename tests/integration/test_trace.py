"""One trace from the caller through the gateway, the services, their outboxes and the broker to the last consumer."""

import asyncio
import json
import secrets
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import aiohttp
import asyncpg

from crm_kit.events.consumers import Consumers
from crm_local.suite import SERVICES, in_database
from tests.integration.collector import Collector, Span
from tests.integration.suite import Person, Suite

CONSUMERS: dict[str, Consumers] = {one.name: import_module(f"{one.package}.consumers").CONSUMERS for one in SERVICES}


@dataclass(frozen=True)
class Caller:
    """A caller within a trace of its own."""

    trace: str
    span: str
    flags: str = "01"

    @classmethod
    def new(cls, flags: str = "01") -> "Caller":
        return cls(secrets.token_hex(16), secrets.token_hex(8), flags)

    @property
    def headers(self) -> dict[str, str]:
        return {"traceparent": f"00-{self.trace}-{self.span}-{self.flags}"}


@dataclass(frozen=True)
class Announced:
    """An event in an outbox, its service, and the span that wrote it."""

    id: str
    type: str
    service: str
    span: str


async def announced(suite: Suite, trace: str) -> list[Announced]:
    """Return every event of a trace from the outboxes of all services."""
    found = []
    for service in SERVICES:
        database = in_database(suite.status["database_url"], f"{suite.status['instance']}_crm_{service.name}")
        connection = await asyncpg.connect(database)
        try:
            rows = await connection.fetch(
                "select id, type, traceparent from outbox where traceparent like $1", f"00-{trace}-%"
            )
        finally:
            await connection.close()
        found += [Announced(str(row[0]), row[1], service.name, row[2].split("-")[2]) for row in rows]
    return found


def due(events: list[Announced]) -> set[tuple[str, str, str, str]]:
    """Return (service, span name, event, parent) of every publication and handling that these events cause."""
    expected = {(f"crm-{event.service}", "publish", event.id, event.span) for event in events}
    for name, consumers in CONSUMERS.items():
        for event in events:
            groups = [group for group in consumers.interested(event.type) if group.handlers_of(event.type)]
            expected |= {(f"crm-{name}", f"handle {group.name}", event.id, event.span) for group in groups}
    return expected


def done(spans: list[Span]) -> set[tuple[str, str, str, str]]:
    return {(span.service, span.name, event, span.parent) for span in spans for event in span.events}


async def whole(suite: Suite, collector: Collector, trace: str, *, requests: int) -> tuple[list[Announced], list[Span]]:
    """Return a trace's events and spans once all expected spans have arrived."""
    expected = due(events := await announced(suite, trace))

    def complete(spans: list[Span]) -> bool:
        entered = [span for span in spans if span.service == "crm-gateway" and span.kind == "server"]
        return done(spans) >= expected and len(entered) >= requests

    spans = await asyncio.to_thread(collector.until, trace, complete)
    assert expected - done(spans) == set(), "published or handled without a span"
    return events, spans


async def open_lead(person: Person) -> dict[str, Any]:
    name = secrets.token_hex(4)
    worth = {"amount": "120.00", "currency": "EUR"}
    body = {"topic": "Gold card", "last_name": name, "company_name": f"{name} Ltd", "estimated_value": worth}
    return await person.send("POST", "/leads", body, status=201)


async def test_a_won_deal_is_one_trace_to_the_last_consumer(
    suite: Suite, administrator: Person, collector: Collector
) -> None:
    lead = await open_lead(administrator)
    caller = Caller.new()
    lead = await administrator.send("POST", f"/leads/{lead['id']}/qualify", headers=caller.headers)
    deal = await administrator.send("POST", f"/opportunities/{lead['opportunity_id']}/win", {}, headers=caller.headers)
    [task] = (await administrator.send("GET", f"/tasks?regarding.id={deal['id']}"))["items"]
    administrator.after = f"task/{task['id']}@{task['version']}"
    await administrator.send("GET", f"/timeline?regarding={deal['id']}")

    events, spans = await whole(suite, collector, caller.trace, requests=2)
    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans), "a span was sent twice"
    orphans = [span for span in spans if span.parent not in by_id and span.parent != caller.span]
    assert orphans == []
    assert not any(span.failed for span in spans)

    types = sorted(event.type.removeprefix("crm.").removesuffix(".v1") for event in events)
    assert {"sales.lead.qualified", "sales.opportunity.won", "activities.task.created"} <= set(types)
    for event in events:
        cause = by_id[event.span]
        if event.service == "sales":
            assert (cause.service, cause.role, cause.kind) == ("crm-sales", "api", "server")
            entry = by_id[cause.parent]
            assert (entry.service, entry.role, entry.kind, entry.parent) == (
                "crm-gateway",
                "api",
                "server",
                caller.span,
            )
        else:
            assert (cause.service, cause.role, cause.kind) == ("crm-activities", "worker", "consumer")
            assert cause.name == "run activity rule"

    names = {(span.service, span.name) for span in spans}
    assert names >= {
        ("crm-gateway", "POST /api/v1/leads/{id}/qualify"),
        ("crm-sales", "POST /api/v1/leads/{id}/qualify"),
        ("crm-sales", "publish"),
        ("crm-activities", "handle activities.refs"),
        ("crm-activities", "handle activities.timeline"),
        ("crm-activities", "publish"),
        ("crm-marketing", "handle marketing.deals"),
        ("crm-service", "handle service.customers"),
        ("crm-insights", "handle insights.deals"),
    }


async def test_a_new_colleague_is_one_trace_into_every_service(
    suite: Suite, administrator: Person, collector: Collector
) -> None:
    caller, name = Caller.new(), secrets.token_hex(8)
    body = {"email": f"{name}@example.org", "name": name, "password": secrets.token_urlsafe(16), "role_ids": []}
    await administrator.send("POST", "/users", body, status=201, headers=caller.headers)
    events, spans = await whole(suite, collector, caller.trace, requests=1)
    assert "crm.identity.user.created.v1" in {event.type for event in events}
    hearing = {span.service for span in spans if span.kind == "consumer"}
    assert hearing >= {f"crm-{service.name}" for service in SERVICES} - {"crm-identity"}


async def test_an_import_is_traced_from_its_file_to_whoever_hears_of_its_rows(
    suite: Suite, administrator: Person, collector: Collector
) -> None:
    caller = Caller.new()
    form = aiohttp.FormData({"mapping": json.dumps({"Name": "last_name", "=Gold card": "topic"})})
    form.add_field("file", b"Name\nUno\nDue\nTre\n", filename="leads.csv", content_type="text/csv")
    await administrator.send("POST", "/leads/import", form, status=202, headers=caller.headers)
    place = administrator.location.removeprefix("/api/v1")
    async with asyncio.timeout(120):
        while (await administrator.send("GET", place))["status"] != "completed":  # noqa: ASYNC110  # a job is asked
            await asyncio.sleep(0.05)
    events, spans = await whole(suite, collector, caller.trace, requests=1)
    assert [event.type for event in events] == ["crm.sales.lead.created.v1"] * 3
    [chunk] = [span for span in spans if span.name == "import lead"]
    assert {event.span for event in events} == {chunk.id}
    by_id = {span.id: span for span in spans}
    assert by_id[by_id[chunk.parent].parent].parent == caller.span


async def test_who_brings_no_trace_gets_one_and_who_is_not_sampled_is_not_recorded(
    suite: Suite, administrator: Person, collector: Collector
) -> None:
    unsampled = Caller.new(flags="00")
    lead = await open_lead(administrator)
    path = f"/api/v1/leads/{lead['id']}/contact"
    async with administrator.session.post(path, headers=unsampled.headers) as answer:
        assert answer.status == 200
        version, trace, _, flags = answer.headers["traceparent"].split("-")
        assert (version, trace, flags) == ("00", unsampled.trace, "00")
    async with administrator.session.post(path.replace("contact", "disqualify"), json={}) as answer:
        assert answer.status == 200, await answer.text()
        _, trace, entry, flags = answer.headers["traceparent"].split("-")
        assert int(flags, 16) & 1
    events, spans = await whole(suite, collector, trace, requests=1)
    assert [event.type for event in events] == ["crm.sales.lead.disqualified.v1"]
    [root] = [span for span in spans if not span.parent]
    assert (root.service, root.id) == ("crm-gateway", entry)
    # A later event of the same record was handled everywhere, so this one was handled, too.
    assert collector.trace(unsampled.trace) == []
    assert await announced(suite, unsampled.trace) != []
