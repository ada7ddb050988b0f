"""``CustomerRef``: one row per customer, whatever the order of events, and which customers a case can refer to."""

import asyncio
from itertools import permutations
from typing import Any

import orjson
import pytest

from crm_kit.access.privileges import Depth
from crm_kit.copies.projections import project_stubs
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Client, principal
from crm_service_mgmt.projections.customer_ref import CustomerRef

from .conftest import Hear, Rows
from .desk import CASES, Customer, Desk, product


@pytest.mark.parametrize("kind", ["account", "contact"])
async def test_a_customer_is_kept_with_what_a_case_needs(hear: Hear, rows: Rows, kind: str) -> None:
    customer = Customer(kind, "Engines Ltd")
    await hear(customer.created())
    assert await rows(
        "select id, version, deleted, type, name, owner_id, business_unit_id, status, merged_into from customer_ref"
    ) == [(customer.id, 1, False, kind, "Engines Ltd", customer.owner, customer.unit, "active", None)]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_the_last_version_stays_whatever_comes_last(hear: Hear, rows: Rows, order: tuple[int, ...]) -> None:
    customer = Customer("account", "One")
    events = [customer.created()]
    customer.name = "Two"
    events.append(customer.tell("Updated"))
    customer.status = "inactive"
    events.append(customer.tell("Deactivated"))
    for position in order:
        await hear(events[position])
    assert await rows("select version, name, status from customer_ref") == [(3, "Two", "inactive")]


async def test_an_event_that_comes_three_times_counts_once(hear: Hear, rows: Rows) -> None:
    customer = Customer("contact", "Ada Lovelace")
    created, updated = customer.created(), customer.tell("Updated")
    await hear(created, updated, created)
    await hear(updated)
    await hear(created)
    assert await rows("select version from customer_ref") == [(2,)]


async def test_a_deleted_customer_leaves_a_tombstone_that_nothing_revives(hear: Hear, rows: Rows) -> None:
    customer = Customer("contact", "Ada Lovelace")
    created, updated, deleted = customer.created(), customer.tell("Updated"), customer.tell("Deleted")
    await hear(deleted)
    await hear(created, updated)
    assert await rows("select version, deleted from customer_ref") == [(3, True)]


async def test_a_snapshot_tells_of_customers_from_before_we_listened(desk: Desk, hear: Hear, rows: Rows) -> None:
    old = Customer("account", "Engines Ltd", version=6)
    await hear(old.tell("Snapshot"))
    assert await rows("select version, name from customer_ref where id = $1", old.id) == [(7, "Engines Ltd")]
    assert (await desk.open(customer=old.ref))["customer"]["name"] == "Engines Ltd"


async def test_a_case_shows_what_its_customer_is_called_now(desk: Desk, ada: Customer, hear: Hear) -> None:
    case = await desk.open()
    ada.name = "Ada King"
    await hear(ada.tell("Updated"))
    assert (await desk.get(case))["customer"]["name"] == "Ada King"
    [listed] = await desk.page()
    assert listed["customer"]["name"] == "Ada King"


async def test_a_customer_that_is_gone_is_shown_as_gone(desk: Desk, ada: Customer, hear: Hear) -> None:
    case = await desk.open()
    await hear(ada.tell("Deleted"))
    gone = {"type": "contact", "id": str(ada.id), "name": "Ada Lovelace", "deleted": True}
    assert (await desk.get(case))["customer"] == gone
    resolved = await desk.act(case, "resolve")
    assert resolved["customer"] == gone
    refused = await desk.try_open()
    assert (refused.status, refused.problem) == (422, "unknown-reference")


async def test_an_inactive_customer_takes_no_new_case(desk: Desk, ada: Customer, hear: Hear) -> None:
    ada.status = "inactive"
    await hear(ada.tell("Deactivated"))
    refused = await desk.try_open()
    assert (refused.problem, refused.json["errors"][0]["pointer"]) == ("inactive-reference", "/customer/id")
    ada.status = "active"
    await hear(ada.tell("Activated"))
    assert (await desk.try_open()).status == 201


async def test_a_stub_counts_as_unknown_until_its_event_arrives(
    desk: Desk, runtime: Runtime, hear: Hear, rows: Rows
) -> None:
    engines = Customer("account", "Engines Ltd")
    async with runtime.db.begin() as conn:
        await project_stubs(conn, CustomerRef, [engines.id], type="account")
    refused = await desk.try_open(customer=engines.ref)
    assert (refused.problem, refused.json["errors"][0]["pointer"]) == ("unknown-reference", "/customer/id")
    await hear(engines.created())
    assert (await desk.try_open(customer=engines.ref)).status == 201
    assert await rows("select version from customer_ref where id = $1", engines.id) == [(1,)]


async def test_an_account_is_nobody_to_talk_to(desk: Desk, hear: Hear) -> None:
    engines = Customer("account", "Engines Ltd")
    await hear(engines.created())
    refused = await desk.try_open(contact_id=str(engines.id))
    assert (refused.problem, refused.json["errors"][0]["pointer"]) == ("unknown-reference", "/contact_id")


async def test_a_customer_is_what_it_is_and_not_what_the_client_calls_it(desk: Desk, ada: Customer) -> None:
    refused = await desk.try_open(customer={"type": "account", "id": str(ada.id)})
    assert (refused.status, refused.problem) == (422, "unknown-reference")


async def test_only_a_customer_the_caller_may_read_can_have_a_case(desk_for: Any, ada: Customer) -> None:
    mine = principal(Depth.USER, id=ada.owner)
    assert (await desk_for(mine).try_open(contact_id=str(ada.id))).status == 201
    for stranger in (principal(Depth.USER), principal(contact=Depth.NONE), principal(contact="40444")):
        refused = await desk_for(stranger).try_open()
        assert (refused.status, refused.problem) == (422, "unknown-reference")


async def test_a_case_shows_the_customers_name_to_whoever_may_read_the_customer(
    desk: Desk, desk_for: Any, ada: Customer
) -> None:
    case = await desk.open()
    agent = desk_for(principal(contact=Depth.NONE))
    hidden = {"type": "contact", "id": str(ada.id), "name": None, "deleted": False, "hidden": True}
    assert (await agent.get(case))["customer"] == hidden
    owner = desk_for(principal(id=ada.owner, contact=Depth.USER))
    assert (await owner.get(case))["customer"]["name"] == "Ada Lovelace"
    case = await agent.get(case)
    # An unchanged customer is not a new reference, so agents who may not read customers can continue to work.
    assert (await agent.patch(case, customer=case["customer"], priority="high"))["version"] == 2


async def test_a_case_is_about_a_product_that_is_known_and_readable(desk: Desk, desk_for: Any, hear: Any) -> None:
    sold = new_id()
    await hear(product(sold))
    case = await desk.open(product_id=str(sold))
    blind = desk_for(principal(product=Depth.NONE))
    assert (await blind.patch(case, product_id=str(sold), priority="high"))["version"] == 2
    other = await desk.open()
    for refused in (
        await desk.try_open(product_id=str(new_id())),
        await blind.try_open(product_id=str(sold)),
        await blind.try_patch(other, product_id=str(sold)),
    ):
        assert (refused.status, refused.problem) == (422, "unknown-reference")
        assert refused.json["errors"][0]["pointer"] == "/product_id"
    await hear(product(sold, "Retired", 2))
    await desk.open(product_id=str(sold))
    await hear(product(sold, "Deleted", 3))
    assert (await desk.try_open(product_id=str(sold))).problem == "unknown-reference"


async def test_crm_after_waits_for_the_customer_that_was_just_made(client: Client, hear: Hear) -> None:
    engines = Customer("account", "Engines Ltd")
    created = engines.created()
    body, headers = {"title": "Card", "customer": engines.ref}, {"crm-after": f"account/{engines.id}@1"}
    assert (await client.post(CASES, body)).problem == "unknown-reference"
    async with asyncio.TaskGroup() as both:
        asked = both.create_task(client.post(CASES, body, headers=headers))
        await hear(created)
    assert asked.result().status == 201
    late = await client.post(CASES, body, headers={"crm-after": f"account/{engines.id}@2"})
    assert (late.status, late.problem, late.json["code"]) == (503, "not-yet-projected", "late")
    assert "retry-after" in late.headers


async def test_crm_after_says_at_once_when_the_event_is_parked(client: Client, dispatcher: Dispatcher) -> None:
    engines = Customer("account", "Engines Ltd")
    document = orjson.loads(engines.created().body)
    document["data"]["record"] = None
    await dispatcher.settle([Message.read(orjson.dumps(document))])
    body, headers = {"title": "Card", "customer": engines.ref}, {"crm-after": f"account/{engines.id}@1"}
    late = await client.post(CASES, body, headers=headers)
    assert (late.status, late.json["code"]) == (503, "parked")
