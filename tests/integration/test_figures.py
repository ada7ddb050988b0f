"""A suite that was used has the metrics and labels that dashboards and alerts query."""

import asyncio
import re
from collections.abc import Mapping
from functools import partial

import aiohttp

from tests.integration.collector import Collector
from tests.integration.suite import Person, Suite
from tests.observability.queries import TARGET, asked, queries, rules

SERIES = re.compile(r"^([a-z_:]+)(?:{(.*)})? \S+$", re.MULTILINE)
ONLY_WHEN_IT_HAPPENS = {
    "crm_timer_failed_total",
    "crm_inbox_failed_total",
    "crm_http_refused_total",
    "crm_gateway_refused_total",
    "crm_gateway_upstream_failures_total",
    "crm_projection_divergence",
    "crm_projection_compared_seconds",
    "crm_subscriber_dropped_total",
    "crm_subscriber_waiting",
    "crm_mail_lag_seconds",
}
"""Metrics by reasons or names that a healthy suite does not have, or that an operator's ``crm events compare`` sets."""


async def test_every_figure_that_is_asked_for_is_shown(suite: Suite, administrator: Person) -> None:
    lead = await administrator.send("POST", "/leads", {"topic": "Figures", "last_name": "Counted"}, status=201)
    administrator.after = f"lead/{lead['id']}@1"
    for path in (f"/timeline?regarding={lead['id']}", "/funnel", "/leads", "/campaigns", "/cases"):
        await administrator.send("GET", path)
    shown = await figures(suite)
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for where, query in queries():
        for name, labels in asked(query).items():
            if name not in recorded and name not in ONLY_WHEN_IT_HAPPENS:
                assert name in shown, f"{where}: nobody shows {name}"
                assert labels <= shown[name] | TARGET, f"{where}: {name}"
    names = {one["name"] for one in suite.status["services"]}
    assert names == {one["name"] for one in suite.status["services"] if one["metrics_url"]}


async def test_routes_are_templates_and_their_number_is_bounded(suite: Suite, administrator: Person) -> None:
    for number in range(5):
        await administrator.send("GET", f"/leads/00000000-0000-7000-8000-{number:012}", status=404)
        await administrator.send("GET", f"/nothing-{number}", status=404)
    text = await read(suite, "sales-api") + await read(suite, "gateway-api")
    routes = set(re.findall(r'http_route="([^"]*)"', text))
    assert {"/api/v1/leads/{lead_id}", "/api/v1/leads"} <= routes
    assert not [route for route in routes if "0000" in route or "nothing" in route]


async def test_the_gateway_shows_nobody_its_figures(suite: Suite) -> None:
    async with aiohttp.request("GET", f"{suite.gateway}/metrics") as answer:
        assert answer.status == 404


async def figures(suite: Suite) -> Mapping[str, set[str]]:
    """Return every series of every process, with its labels."""
    found: dict[str, set[str]] = {}
    for service in suite.status["services"]:
        for name, labels in SERIES.findall(await read(suite, service["name"])):
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


async def read(suite: Suite, name: str) -> str:
    url = next(one["metrics_url"] for one in suite.status["services"] if one["name"] == name)
    async with aiohttp.request("GET", url) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_the_same_is_sent_to_a_collector(suite: Suite, administrator: Person, collector: Collector) -> None:
    await administrator.send("GET", "/leads")
    for name in (b"http.server.request.duration", b"crm.outbox.pending", b"crm-gateway"):
        assert await asyncio.to_thread(collector.figures_until, partial(contains, name)), name


def contains(name: bytes, body: bytes) -> bool:
    return name in body
