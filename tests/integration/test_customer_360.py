"""The customer 360 through the gateway while the services behind it stop and start."""

import asyncio
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from crm_identity.security_role.domain import DEFAULT_ROLES
from tests.integration.suite import Person, Suite

SALESPERSON = str(next(role.id for role in DEFAULT_ROLES if role.name == "Salesperson"))
DOCUMENTS = ("quotes", "orders", "invoices")


@dataclass
class Customer:
    """A bank's customer with related records: campaign, lead, account, contact, deal, quote and case."""

    account_id: str
    contact_id: str
    campaign_id: str
    lead_id: str
    opportunity_id: str
    quote_id: str
    case_id: str
    person: Person

    async def look(self, **wanted: Any) -> dict[str, Any]:
        return await self.person.send("GET", f"/customers/{self.account_id}/360", **wanted)


@pytest.fixture
async def customer(administrator: Person) -> Customer:
    """Create the customer through the gateway.

    ``person.after`` covers all records, so that every view includes them.
    """
    send = administrator.send
    campaign = await send("POST", "/campaigns", {"name": "Cards for the young"}, status=201)
    fields = {"topic": "Gold card", "first_name": "花子", "last_name": "佐藤", "company_name": "大和商事株式会社"}
    lead = await send("POST", "/leads", {**fields, "campaign_id": campaign["id"]}, status=201)
    qualified = await send("POST", f"/leads/{lead['id']}/qualify", {"allow_duplicates": True})
    story = administrator.after
    quote = await send("POST", f"/opportunities/{qualified['opportunity_id']}/quote", status=201)
    story = administrator.after = f"{story}, {administrator.after}"
    body = {"title": "The bill is wrong", "customer": {"type": "contact", "id": qualified["contact_id"]}}
    case = await send("POST", "/cases", body, status=201)
    administrator.after = f"{story}, {administrator.after}"
    return Customer(
        qualified["account_id"],
        qualified["contact_id"],
        campaign["id"],
        lead["id"],
        qualified["opportunity_id"],
        quote["id"],
        case["id"],
        administrator,
    )


def statuses(view: dict[str, Any]) -> dict[str, str]:
    return {name: part["status"] for name, part in view["parts"].items()}


def unavailable(view: dict[str, Any]) -> dict[str, str]:
    """Return the problem slugs of the parts that are missing."""
    parts = {name: part["problem"]["type"] for name, part in view["parts"].items() if part["status"] != "ok"}
    return {name: slug.removeprefix("/problems/") for name, slug in parts.items()}


def ids(part: dict[str, Any]) -> list[str]:
    return [item["id"] for item in part["items"]]


def pid_of(suite: Suite, name: str) -> int:
    services = json.loads(suite.crm("status", "--json"))["services"]
    return int(next(one["pid"] for one in services if one["name"] == name))


async def until_whole(customer: Customer) -> dict[str, Any]:
    async with asyncio.timeout(120):
        while unavailable(view := await customer.look()):  # noqa: ASYNC110  # nothing tells that a process is back
            await asyncio.sleep(0.1)
    return view


async def test_the_whole_story_is_in_one_answer(customer: Customer) -> None:
    view = await until_whole(customer)
    assert (view["type"], view["customer"]["id"]) == ("account", customer.account_id)
    assert set(statuses(view).values()) == {"ok"}
    assert ids(view["contacts"]) == [customer.contact_id]
    assert ids(view["leads"]) == [customer.lead_id]
    assert ids(view["opportunities"]) == [customer.opportunity_id]
    assert ids(view["quotes"]) == [customer.quote_id]
    assert (view["orders"]["items"], view["invoices"]["items"]) == ([], [])
    assert ids(view["cases"]) == [customer.case_id], "an account includes its contacts"
    assert ids(view["campaigns"]) == [customer.campaign_id]
    told = {item["type"] for item in view["timeline"]["items"]}
    assert told >= {"crm.sales.account.created.v1", "crm.sales.contact.created.v1"}
    for name in ("contacts", "leads", "opportunities", *DOCUMENTS, "cases", "campaigns", "timeline"):
        again = await customer.person.send("GET", view[name]["href"].removeprefix("/api/v1"))
        assert (again["items"], again["next"]) == (view[name]["items"], view[name]["next"]), name
    of_contact = await customer.person.send("GET", f"/customers/{customer.contact_id}/360")
    assert (of_contact["type"], ids(of_contact["cases"])) == ("contact", [customer.case_id])


@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL], ids=["hung", "killed"])
async def test_without_the_service_of_cases_the_rest_answers_in_time(
    suite: Suite, customer: Customer, blow: signal.Signals
) -> None:
    whole = await until_whole(customer)
    pid = await asyncio.to_thread(pid_of, suite, "service-api")
    os.kill(pid, blow)
    try:
        # Less than the supervisor waits before it replaces a hung process, but enough for the others on a busy machine.
        view = await customer.look(headers={"Crm-Deadline-Ms": "8000"})
    finally:
        if blow is signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
    late = {"cases": "deadline-exceeded"}
    # Callers of a killed process wait in the queue of its socket, and the next process can be ready in time.
    assert unavailable(view) == late or (blow is signal.SIGKILL and not unavailable(view))
    assert (view["cases"] is None) == bool(unavailable(view))
    for name in ("customer", "contacts", "leads", "opportunities", *DOCUMENTS, "campaigns"):
        assert view[name] == whole[name], name
    assert (await until_whole(customer))["cases"] == whole["cases"]


MakePerson = Callable[..., Any]


@pytest.fixture
async def somebody(suite: Suite, administrator: Person) -> AsyncIterator[MakePerson]:
    """Makes a logged-in user with roles, in a separate business unit."""
    async with AsyncExitStack() as stack:
        root = (await administrator.send("GET", "/auth/me"))["business_unit"]["id"]

        async def make(role_id: str) -> Person:
            name, password = secrets.token_hex(8), secrets.token_urlsafe(16)
            unit = await administrator.send("POST", "/business-units", {"name": name, "parent_id": root}, status=201)
            body: dict[str, Any] = {
                "email": f"{name}@example.org",
                "name": name,
                "password": password,
                "role_ids": [role_id],
            }
            await administrator.send("POST", "/users", {**body, "business_unit_id": unit["id"]}, status=201)
            person = await Person.log_in(suite, body["email"], password)
            stack.push_async_callback(person.close)
            return person

        yield make


async def test_anothers_customer_is_as_missing_as_one_that_never_was(customer: Customer, somebody: MakePerson) -> None:
    stranger = await somebody(SALESPERSON)
    foreign = await stranger.send("GET", f"/customers/{customer.account_id}/360", status=404)
    missing = await stranger.send("GET", f"/customers/{customer.case_id}/360", status=404)
    told = ("type", "title", "status", "detail")
    assert [foreign[name] for name in told] == [missing[name] for name in told]


async def test_what_the_caller_may_not_read_is_forbidden_and_not_empty(
    customer: Customer, administrator: Person, somebody: MakePerson
) -> None:
    read = {name: {"read": "organization"} for name in ("account", "contact", "lead", "opportunity")}
    after = administrator.after
    role = {"name": f"Reader {secrets.token_hex(4)}", "privileges": read}
    made = await administrator.send("POST", "/security-roles", role, status=201)
    reader = await somebody(made["id"])
    reader.after = after
    view = await reader.send("GET", f"/customers/{customer.account_id}/360")
    assert unavailable(view) == dict.fromkeys((*DOCUMENTS, "cases", "campaigns"), "forbidden")
    assert ids(view["leads"]) == [customer.lead_id]
    assert (view["cases"], view["campaigns"]) == (None, None)
