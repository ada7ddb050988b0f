"""One caller makes all slow requests as often as possible. Other callers are answered as usual.

Sales and activities run behind a gateway, as in production, on servers in this process. The test judges the answers to
others during the slow work: all of them, and no refusal.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from fastapi import FastAPI

from crm_gateway.app import SERVICE as GATEWAY
from crm_gateway.main import app as gateway_app
from crm_gateway.settings import GatewaySettings
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, Client, Issuer, principal
from crm_kit.testing.databases import Databases, ServiceDatabase, settings_for
from crm_kit.testing.serving import served
from tests.conftest import app_of, service_of

API = "/api/v1"
BEHIND = ("crm_sales", "crm_activities")
THEIRS = {(200, None), (422, "too-expensive"), (429, "too-many-requests")}
"""Answers that the caller of slow work can get: a result, or advice to change the request."""
HOP_SECONDS = 15
"""The time limit of a service here: long enough for others on a busy machine, and short enough for slow work to exceed
it."""
BUSY = {(503, "unavailable"), (504, "deadline-exceeded")}
"""Answers that others can get if this process, which runs all services, is paused for half a second. Otherwise they get
none."""


@dataclass
class House:
    """A gateway, the services behind it, and the callers."""

    gateway: FastAPI
    runtimes: dict[str, Runtime]
    databases: dict[str, ServiceDatabase]
    careless: Client
    other: Client

    @property
    def given_up(self) -> list[str]:
        """The services that the gateway does not call any more."""
        return [name for name, upstream in self.gateway.state.upstreams.items() if upstream.breaker.open]


@pytest.fixture
async def house(databases: Databases, issuer: Issuer) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        urls, runtimes, stores = {}, {}, {}
        for package in BEHIND:
            service = service_of(package)
            stores[service.name] = store = databases.of(service)
            stack.push_async_callback(store.restore)
            app = app_of(package)(settings_for(service, store.url, issuer.jwks_url, CRM_HOP_SECONDS=HOP_SECONDS))
            urls[service.name] = await _open(stack, app)
            runtimes[service.name] = app.state.runtime
        told = {
            "CRM_SERVICE": GATEWAY.name,
            "CRM_SECRET": "a secret that only tests know",
            "DATABASE_URL": databases.of(GATEWAY).url,
            "CRM_JWKS_URL": issuer.jwks_url,
            "CRM_UPSTREAMS": ",".join(f"{name}={url}" for name, url in urls.items()),
            "CRM_HOP_SECONDS": 4 * HOP_SECONDS,
            "CRM_TOTAL_SECONDS": 8 * HOP_SECONDS,
        }
        gateway = gateway_app(GatewaySettings.model_validate(told))
        url = await _open(stack, gateway)
        http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        await stack.enter_async_context(http)
        clients = [Client(http, url, issuer.token(principal())) for _ in range(2)]
        yield House(gateway, runtimes, stores, *clients)


async def _open(stack: AsyncExitStack, app: FastAPI) -> str:
    await stack.enter_async_context(app.router.lifespan_context(app))
    return await stack.enter_async_context(served(app))


MADE = """
insert into lead (id, version, owner_type, owner_id, business_unit_id, status, status_reason, number, topic, first_name,
    last_name, company_name, email, preferred_channel, do_not_email, do_not_phone, do_not_post, created_at, modified_at)
select gen_random_uuid(), 1, 'user', $2, $2, 'open', 'new', 'X-' || n, 'Offer ' || n || repeat(' ab', 40),
    (array['Ada', 'Grace', 'Mary', 'Jean'])[n % 4 + 1], (array['Miller', 'Smith', 'Jones'])[n % 3 + 1] || n % 50,
    'Company ' || n % 1000, 'p' || n || '@example.org', 'any', false, false, false,
    now() - n * interval '1 second', now()
from generate_series(1, $1) n
"""


async def make_leads(house: House, number: int) -> None:
    conn = await asyncpg.connect(house.databases["sales"].url)
    await conn.execute(MADE, number, uuid4())
    await conn.execute("analyze lead")
    await conn.close()


def outcome(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.problem if answer.status >= 400 else None


async def beside(
    house: House, slow: list[Callable[[], Coroutine[Any, Any, Answer]]], paths: list[str], rounds: int
) -> Counter[tuple[int, str | None]]:
    """Repeat each of ``slow`` while others request ``paths``. Return the answers to the slow ones."""
    answered: Counter[tuple[int, str | None]] = Counter()
    over = asyncio.Event()

    async def go_on(ask: Callable[[], Coroutine[Any, Any, Answer]]) -> None:
        while not over.is_set():
            answered[outcome(await ask())] += 1

    tasks = [asyncio.create_task(go_on(ask)) for ask in slow]
    try:
        for _ in range(rounds):
            for path in paths:
                answer = await house.other.get(API + path)
                assert outcome(answer) == (200, None), (path, answer.body)
                assert house.given_up == []
    finally:
        over.set()
        await asyncio.gather(*tasks)
    return answered


def asking(house: House, path: str, **headers: str) -> Callable[[], Coroutine[Any, Any, Answer]]:
    return lambda: house.careless.get(API + path, headers={name.replace("_", "-"): v for name, v in headers.items()})


QUIET = ["/tasks", "/leads?limit=10", "/accounts"]


async def test_waiting_for_what_never_comes_costs_nobody_a_connection(house: House) -> None:
    slow = [asking(house, "/tasks", crm_after=f"lead/{uuid4()}@1") for _ in range(12)]
    view = f"/customers/{uuid4()}/360"
    slow += [asking(house, view, crm_after=f"lead/{uuid4()}@1") for _ in range(4)]
    answered = await beside(house, slow, QUIET, 40)
    # There is nothing to show. The request waits for two of its three seconds, which leaves a busy machine little time
    # to answer.
    assert set(answered) <= {(503, "not-yet-projected"), (404, "not-found"), (429, "too-many-requests")} | BUSY
    db = house.runtimes["activities"].db
    assert not db.shares._held
    assert db.engine.pool.checkedout() <= 1  # type: ignore[attr-defined]  # the pool has it, its base not


def slow_searches() -> list[str]:
    return [
        "/leads?count=exact",
        "/leads?count=exact&topic[contains]=" + "ab" * 100,
        "/leads?topic[contains]=" + "ab%20" * 60,
        "/leads?q=a",
        "/leads?"
        + "&".join(f"{f}[contains]={'ab' * 50}" for f in ("topic", "last_name", "company_name", "description")),
        "/leads?estimated_value.amount[gte]=999999999&sort=-last_name",
    ]


@pytest.mark.parametrize(
    ("leads", "rounds"), [(3_000, 20), pytest.param(200_000, 100, marks=pytest.mark.large)], ids=["small", "large"]
)
async def test_slow_searches_cost_the_others_nothing(house: House, leads: int, rounds: int) -> None:
    await make_leads(house, leads)
    refused = await house.careless.get(f"{API}/leads?count=exact&topic[contains]={'ab' * 1000}")
    assert outcome(refused) == (400, "invalid-filter")
    searches = [asking(house, path) for path in slow_searches() for _ in range(3)]
    scans = [asking(house, "/leads/duplicates?limit=200") for _ in range(10)]
    answered = await beside(house, searches + scans, QUIET, rounds)
    assert set(answered) <= THEIRS | BUSY, answered
    assert sum(times for told, times in answered.items() if told in THEIRS) > 0
    sales = house.runtimes["sales"].db
    assert house.other.token != house.careless.token
    assert (await house.careless.get(f"{API}/leads?limit=1")).status == 200, "and the caller goes on when it is over"
    assert not sales.slow._held
    assert not sales.shares._held
