"""The customer 360, composed from services that answer, refuse, hang or are down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_gateway.proxy import upstream as calling
from crm_gateway.proxy.breaker import FAILURES_TO_OPEN
from crm_gateway.views import parts
from crm_kit.http.deadlines import ANSWERING_PART
from crm_kit.testing import Answer
from crm_kit.testing.passing import let_pass

from .conftest import Gateway, Start
from .scripted import Scripted, scripted

CUSTOMER, COLLEAGUE, CAMPAIGN = (UUID(int=n) for n in (1, 2, 3))
PATH = f"/api/v1/customers/{CUSTOMER}/360"
HOP_SECONDS = 60
MARGIN_SECONDS = 20
"""Enough time to write the rest when a part is late, even on a busy machine."""
PART_SECONDS = HOP_SECONDS * ANSWERING_PART - MARGIN_SECONDS
PARTS = {"customer", "leads", "opportunities", "quotes", "orders", "invoices", "cases", "campaigns", "timeline"}


def problem(status: int, slug: str, **members: Any) -> tuple[int, Any]:
    standard = {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": f"{slug}!"}
    return status, {**standard, "instance": "/there", "trace_id": "0" * 32, **members}


def page(*items: Any, following: str | None = None) -> tuple[int, Any]:
    return 200, {"items": list(items), "next": following}


@dataclass
class House:
    """The services behind a gateway, and a client of it."""

    gateway: Gateway
    services: dict[str, Scripted]

    def account(self) -> None:
        """The customer is an account with one contact, a lead from a campaign, and a case of that contact."""
        sales = self.services["sales"].answers
        sales[f"/accounts/{CUSTOMER}"] = 200, {"id": str(CUSTOMER), "name": "Engines Ltd"}
        sales[f"/contacts/{CUSTOMER}"] = problem(404, "not-found")
        sales["/contacts"] = page({"id": str(COLLEAGUE)})
        sales["/leads"] = page({"id": "l", "campaign_id": str(CAMPAIGN)}, following="more")
        sales["/opportunities"] = page({"id": "o", "campaign_id": str(CAMPAIGN)})
        sales["/quotes"] = page({"id": "q"}, following="more quotes")
        sales["/orders"], sales["/invoices"] = page({"id": "d"}), page()
        self.services["service"].answers["/cases"] = page({"id": "c"})
        self.services["marketing"].answers["/campaigns"] = page({"id": str(CAMPAIGN)})
        self.services["activities"].answers["/timeline"] = page({"id": "t"})

    def contact(self) -> None:
        """The customer is a contact without related records."""
        self.account()
        sales = self.services["sales"].answers
        sales[f"/accounts/{CUSTOMER}"] = problem(404, "not-found")
        sales[f"/contacts/{CUSTOMER}"] = 200, {"id": str(CUSTOMER), "full_name": "Ada Lovelace"}
        sales["/leads"] = sales["/opportunities"] = page()

    async def look(self, **headers: str) -> Answer:
        return await self.gateway.get(PATH, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def look_in_vain(self, service: str, calls: int = 1, seconds: float = PART_SECONDS, **headers: str) -> Answer:
        """Request the view while this service leaves this many calls unanswered, and let its time limit pass."""
        await self.services[service].until_waiting(0)
        looking = asyncio.create_task(self.look(**headers))
        await self.services[service].until_waiting(calls)
        if service != "sales":
            # Campaigns are requested after the records that refer to them. No other request is waited for by then.
            await self.services["marketing"].until_seen("/campaigns")
        await self.gateway.calls(**{service: calls})
        let_pass(seconds)
        answer = await looking
        self.services["marketing"].headers.clear()
        return answer


@pytest.fixture
async def house(start: Start, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(parts, "MARGIN_SECONDS", MARGIN_SECONDS)
    async with AsyncExitStack() as stack:
        names = ("sales", "service", "marketing", "activities")
        services = {name: await stack.enter_async_context(scripted()) for name in names}
        gateway = await start({name: one.url for name, one in services.items()}, CRM_HOP_SECONDS=HOP_SECONDS)
        yield House(gateway, services)


def statuses(answer: Answer) -> dict[str, str]:
    return {name: part["status"] for name, part in answer.json["parts"].items()}


async def test_an_account_shows_what_belongs_to_it_and_its_contacts(house: House) -> None:
    house.account()
    answer = await house.look()
    assert (answer.status, answer.json["type"], answer.json["customer"]["name"]) == (200, "account", "Engines Ltd")
    assert statuses(answer) == dict.fromkeys([*PARTS, "contacts"], "ok")
    assert answer.json["contacts"]["items"] == [{"id": str(COLLEAGUE)}]
    both = f"customer.id%5Bin%5D={CUSTOMER},{COLLEAGUE}"
    leads = answer.json["leads"]
    assert (leads["next"], leads["href"]) == ("more", f"/api/v1/leads?{both}&limit=10")
    quotes = {"items": [{"id": "q"}], "next": "more quotes", "href": f"/api/v1/quotes?{both}&limit=10"}
    assert answer.json["quotes"] == quotes
    assert answer.json["orders"]["items"] == [{"id": "d"}]
    assert answer.json["invoices"] == {"items": [], "next": None, "href": f"/api/v1/invoices?{both}&limit=10"}
    assert house.services["service"].seen == [f"GET /api/v1/cases?{both}&limit=10"]
    assert house.services["marketing"].seen == [f"GET /api/v1/campaigns?id={CAMPAIGN}&limit=10"]
    together = f"regarding%5Bin%5D={CUSTOMER},{COLLEAGUE}"
    assert house.services["activities"].seen == [f"GET /api/v1/timeline?{together}&limit=10"]


async def test_a_contact_stands_alone_and_no_campaign_is_known_to_be_none(house: House) -> None:
    house.contact()
    answer = await house.look()
    assert (answer.json["type"], "contacts" in answer.json) == ("contact", False)
    assert statuses(answer) == dict.fromkeys(PARTS, "ok")
    assert answer.json["campaigns"] == {"items": [], "next": None, "href": None}
    assert house.services["marketing"].seen == []
    assert house.services["service"].seen == [f"GET /api/v1/cases?customer.id={CUSTOMER}&limit=10"]


async def test_services_are_asked_with_the_callers_token_their_conditions_and_the_time_left(house: House) -> None:
    house.account()
    await house.look(crm_after=f"account/{CUSTOMER}@3", if_none_match='"7"', crm_correlation_id="a-story")
    for name, path in (("sales", "/leads"), ("service", "/cases"), ("activities", "/timeline")):
        sent = house.services[name].headers[path]
        assert sent["authorization"] == f"Bearer {house.gateway.token}"
        assert sent["crm-after"] == f"account/{CUSTOMER}@3"
        assert 0 < int(sent["crm-deadline-ms"]) < HOP_SECONDS * 1000
        assert sent["crm-correlation-id"] == "a-story"
        assert "if-none-match" not in sent


async def test_a_hung_service_costs_its_part_only_and_is_given_up_after_a_while(house: House) -> None:
    house.account()
    house.services["service"].silent |= {"/cases", "/healthz"}
    seen: list[str] = []
    breaker = house.gateway.upstreams["service"].breaker
    for number in range(1, FAILURES_TO_OPEN + 2):
        asked = len(house.services["service"].seen)
        given_up = number > FAILURES_TO_OPEN
        answer = await (house.look() if given_up else house.look_in_vain("service"))
        if number == FAILURES_TO_OPEN:
            assert not breaker.open, "it is asked first whether it is there at all"
            await house.services["service"].until_seen("/healthz")
            let_pass(calling.HEALTH_SECONDS)
            await house.services["service"].until_waiting(0)
        assert answer.status == 200
        assert answer.json["cases"] is None
        assert {name for name, status in statuses(answer).items() if status != "ok"} == {"cases"}
        found = answer.json["parts"]["cases"]["problem"]
        seen.append(found["type"])
        assert found["status"] == (503 if given_up else 504)
        assert found["instance"] == "/api/v1/cases"
        cases_asked = sum("/cases" in line for line in house.services["service"].seen[asked:])
        assert cases_asked == (0 if given_up else 1), "who is given up is not asked, so nobody waits for it"
    assert seen == [*["/problems/deadline-exceeded"] * FAILURES_TO_OPEN, "/problems/unavailable"]


async def test_a_service_that_is_slow_with_one_thing_is_never_given_up(house: House) -> None:
    house.account()
    house.services["service"].silent.add("/cases")
    for _ in range(FAILURES_TO_OPEN + 2):
        found = (await house.look_in_vain("service")).json["parts"]["cases"]["problem"]
        assert found["type"] == "/problems/deadline-exceeded"
    house.services["service"].silent.clear()
    assert statuses(await house.look())["cases"] == "ok"


async def test_the_callers_own_deadline_bounds_every_part(house: House) -> None:
    house.account()
    house.services["activities"].silent.add("/timeline")
    answer = await house.look_in_vain("activities", seconds=30 - MARGIN_SECONDS, crm_deadline_ms="30000")
    for name, path in (("activities", "/timeline"), ("sales", "/leads")):
        assert 0 < int(house.services[name].headers[path]["crm-deadline-ms"]) <= 30_000
    assert statuses(answer)["timeline"] == "unavailable"
    assert statuses(answer)["cases"] == "ok"


async def test_campaigns_are_unknown_while_it_is_unknown_where_the_customer_came_from(house: House) -> None:
    house.account()
    house.services["sales"].answers["/opportunities"] = problem(403, "forbidden")
    answer = await house.look()
    assert {name for name, status in statuses(answer).items() if status != "ok"} == {"opportunities", "campaigns"}
    for name in ("opportunities", "campaigns"):
        assert answer.json[name] is None
        assert answer.json["parts"][name]["problem"]["type"] == "/problems/forbidden"
    assert house.services["marketing"].seen == []


async def test_contacts_that_may_not_be_read_are_left_out_but_contacts_not_known_make_lists_unknown(
    house: House,
) -> None:
    house.account()
    house.services["sales"].answers["/contacts"] = problem(403, "forbidden")
    refused = await house.look()
    assert refused.json["contacts"] is None
    assert statuses(refused)["cases"] == "ok"
    assert house.services["service"].seen == [f"GET /api/v1/cases?customer.id={CUSTOMER}&limit=10"]
    house.services["sales"].answers["/contacts"] = problem(503, "unavailable", retry_after=2)
    unknown = await house.look()
    missing = {name for name, status in statuses(unknown).items() if status != "ok"}
    assert missing == (PARTS - {"customer"}) | {"contacts"}


async def test_an_answer_that_makes_no_sense_is_a_part_that_is_unavailable(house: House) -> None:
    house.account()
    house.services["service"].answers["/cases"] = 500, {"type": "/problems/internal-error", "status": 500}
    house.services["marketing"].answers["/campaigns"] = 418, {}
    house.services["activities"].answers["/timeline"] = 200, {"unforeseen": True}
    answer = await house.look()
    for name in ("cases", "campaigns", "timeline"):
        assert answer.json[name] is None
        assert answer.json["parts"][name]["problem"]["type"] == "/problems/upstream-failed"
        assert answer.json["parts"][name]["problem"]["status"] == 502


@pytest.mark.parametrize(
    ("account", "contact", "expected"),
    [
        (problem(404, "not-found"), problem(404, "not-found"), (404, "not-found")),
        (problem(403, "forbidden"), problem(404, "not-found"), (404, "not-found")),
        (problem(403, "forbidden"), problem(403, "forbidden"), (403, "forbidden")),
        (problem(404, "not-found"), problem(503, "unavailable"), (503, "unavailable")),
        (problem(404, "not-found"), problem(503, "not-yet-projected"), (503, "not-yet-projected")),
        (problem(401, "token-superseded"), problem(401, "token-superseded"), (401, "token-superseded")),
        (problem(410, "merged", survivor={"href": "/x"}), problem(404, "not-found"), (410, "merged")),
        ((500, {}), problem(404, "not-found"), (502, "upstream-failed")),
    ],
)
async def test_without_a_customer_there_is_no_view(
    house: House, account: Any, contact: Any, expected: tuple[int, str]
) -> None:
    house.account()
    house.services["sales"].answers |= {f"/accounts/{CUSTOMER}": account, f"/contacts/{CUSTOMER}": contact}
    answer = await house.look()
    assert (answer.status, answer.problem) == expected
    assert answer.json["instance"] == PATH
    assert answer.json.get("survivor") == account[1].get("survivor")
    assert answer.headers.get("link") == ('</x>; rel="successor-version"' if expected[0] == 410 else None)
    assert house.services["service"].seen == []


async def test_without_sales_there_is_no_view(start: Start, house: House) -> None:
    alone = await start({"sales": "http://127.0.0.1:9"})
    assert (await alone.get(PATH)).problem == "unavailable"
    assert (await (await start({})).get(PATH)).problem == "unavailable"
    house.services["sales"].silent |= {f"/accounts/{CUSTOMER}", f"/contacts/{CUSTOMER}"}
    assert (await house.look_in_vain("sales", calls=2)).problem == "deadline-exceeded"


async def test_the_view_is_not_sent_twice_while_nothing_has_changed(house: House) -> None:
    house.account()
    first = await house.look()
    assert first.etag.startswith('W/"')
    assert first.headers["cache-control"] == "private, no-cache"
    again = await house.look(if_none_match=first.etag)
    assert (again.status, again.body, again.etag) == (304, b"", first.etag)
    house.services["service"].answers["/cases"] = page({"id": "c"}, {"id": "d"})
    assert (await house.look(if_none_match=first.etag)).status == 200
    house.services["service"].answers["/cases"] = problem(503, "unavailable")
    assert (await house.look(if_none_match=first.etag)).status == 200


async def test_a_view_needs_a_token_and_an_id(house: House) -> None:
    assert (await house.gateway.as_token(None).get(PATH)).status == 401
    assert (await house.gateway.get("/api/v1/customers/nobody/360")).problem == "not-found"
    assert (await house.gateway.get(f"/api/v1/customers/{uuid4()}")).problem == "not-found"
    assert (await house.look(crm_deadline_ms="soon")).problem == "invalid-header"
