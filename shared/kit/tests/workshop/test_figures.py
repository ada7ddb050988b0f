"""What operators see of a process: bounded, on a port of its own, and never at the cost of a request."""

import asyncio
import re
import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest
from opentelemetry.sdk.resources import Resource

from crm_kit.process.runtime import Runtime
from crm_kit.signals import exporting
from crm_kit.signals.metrics import (
    DECLARED,
    counter,
    gauge,
    observed,
)
from crm_kit.testing import Client

from .conftest import a_tool, stored

REQUESTS = re.compile(r"^http_server_request_duration_seconds_count{(.*)} (\S+)$", re.MULTILINE)


@pytest.fixture(scope="module", autouse=True)
def _kept() -> None:
    exporting.provide(Resource.create({"service.name": "crm-mini", "crm.role": "api"}))


@pytest.fixture
def port() -> Iterator[int]:
    """A port where the figures of this process are served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    server = exporting.serve("127.0.0.1", free)
    assert server is not None
    yield free
    server.shutdown()
    server.server_close()


def requests() -> dict[tuple[str, str, str], float]:
    """How many, by method, route and class of status."""
    found = {}
    for labels, count in REQUESTS.findall(exporting.as_text()):
        pairs = dict(pair.split("=", 1) for pair in re.findall(r'\w+="[^"]*"', labels))
        key = ("http_request_method", "http_route", "http_response_status_class")
        found[tuple(pairs[name].strip('"') for name in key)] = float(count)
    return found


async def test_a_request_counts_for_its_route_and_never_for_its_path(client: Client, runtime: Runtime) -> None:
    tool = a_tool()
    await stored(runtime, tool)
    before = requests()
    for path in (
        f"/tools/{tool.id}",
        f"/tools/{uuid4()}",
        "/tools",
        f"/{uuid4().hex}",
        f"/tools/{uuid4().hex}/{uuid4()}",
    ):
        await client.get(f"/api/v1{path}")
    await client.request("PROPFIND", f"/api/v1/tools/{tool.id}")
    await client.get("/healthz")
    more = {key: count - before.get(key, 0) for key, count in requests().items() if count != before.get(key, 0)}
    assert more == {
        ("GET", "/api/v1/tools/{tool_id}", "2xx"): 1,
        ("GET", "/api/v1/tools/{tool_id}", "4xx"): 1,
        ("GET", "/api/v1/tools", "2xx"): 1,
        ("GET", "", "4xx"): 2,
        ("_OTHER", "/api/v1/tools/{tool_id}", "4xx"): 1,
        ("GET", "/healthz", "2xx"): 1,
    }


async def test_connections_are_shown_while_they_are_used(client: Client, runtime: Runtime) -> None:
    async with runtime.db.begin():
        shown = exporting.as_text()
    used = re.search(r'^db_client_connection_count{[^}]*pool="main"[^}]*state="used"} (\S+)$', shown, re.MULTILINE)
    assert used is not None
    assert float(used[1]) >= 1
    assert 'http_server_active_requests{crm_role="api",service_name="crm-mini"} 0.0' in shown


async def test_figures_are_not_where_requests_are(client: Client) -> None:
    assert (await client.get("/metrics")).status == 404


async def test_a_slow_reader_holds_up_nobody(client: Client, port: int) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(exporting.MOST_READERS - 1)]
    for _, writer in slow:
        writer.write(b"GET /metrics HTTP/1.1\r\n")
    assert (await client.get("/api/v1/tools")).status == 200
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"http_server_request_duration_seconds_bucket" in await asyncio.wait_for(reader.read(), 120)
    for _, one in [*slow, (reader, writer)]:
        one.close()


async def test_a_reader_may_name_what_it_wants_even_the_first_one(port: int) -> None:
    made: list[bool] = []
    exporting.REGISTRY.on_first_reading(lambda: made.append(True))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics?name[]=process_cpu_time_seconds_total HTTP/1.1\r\nHost: localhost\r\n\r\n")
    _, _, body = (await asyncio.wait_for(reader.read(), 120)).partition(b"\r\n\r\n")
    writer.close()
    assert made == [True]
    assert {line.partition("{")[0] for line in body.decode().splitlines() if not line.startswith("#")} == {
        "process_cpu_time_seconds_total"
    }


def test_a_port_that_is_taken_stops_nothing(port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert exporting.serve("127.0.0.1", taken.getsockname()[1]) is None


def test_counters_begin_at_zero_and_sources_are_added_up() -> None:
    counter("test.counted", "Counted.")
    by_reason = counter("test.reasons", "Counted by reason.", "reason", unit="By")
    by_reason.labels("known")
    by_reason.labels("met").inc(3)
    gauge("test.level", "A level.").set(0.5)
    parts = observed("test.parts", "Parts.", "part", unit="s")
    parts.add(lambda: [(("a",), 1), (("b",), 2)])
    with parts.reading(lambda: [(("b",), 3)]):
        shown = exporting.as_text()
    who = 'crm_role="api"'
    assert f'test_counted_total{{{who},service_name="crm-mini"}} 0.0' in shown
    assert f'test_reasons_bytes_total{{{who},reason="known",service_name="crm-mini"}} 0.0' in shown
    assert f'test_reasons_bytes_total{{{who},reason="met",service_name="crm-mini"}} 3.0' in shown
    assert f'test_level{{{who},service_name="crm-mini"}} 0.5' in shown
    assert f'test_parts_seconds{{{who},part="b",service_name="crm-mini"}} 5.0' in shown
    assert f'test_parts_seconds{{{who},part="b",service_name="crm-mini"}} 2.0' in exporting.as_text()
    assert DECLARED["test.reasons"].prometheus_name == "test_reasons_bytes_total"
    with pytest.raises(ValueError, match="twice"):
        counter("test.counted", "Again.")
