"""Qualifying: account, contact and opportunity in one step, once. Existing records are linked and never made twice."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import principal

from .journey import ADA, Sales, euros


async def test_a_lead_becomes_account_contact_and_opportunity(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA, rating="hot", description="Met at the fair")
    won = await sales.act("leads", lead, "qualify")
    account = await sales.get("accounts", won["account_id"])
    contact = await sales.get("contacts", won["contact_id"])
    deal = await sales.get("opportunities", won["opportunity_id"])
    assert (won["status"], won["qualified_at"] is not None, won["allowed_actions"]) == (
        "qualified",
        True,
        ["reopen", "assign"],
    )
    assert (account["name"], account["tier"], account["email"]) == ("Analytical Engines Ltd", "prospect", None)
    assert (contact["full_name"], contact["email"]) == ("Ada Lovelace", "ada@example.org")
    assert contact["account_id"] == account["id"]
    assert deal["customer"] == {
        "type": "account",
        "id": account["id"],
        "name": "Analytical Engines Ltd",
        "deleted": False,
    }
    assert (deal["name"], deal["stage"], deal["probability"]) == ("Gold card", "qualify", 10)
    assert (deal["estimated_value"], deal["rating"], deal["originating_lead_id"]) == (
        euros("1200.00"),
        "hot",
        lead["id"],
    )
    facts = await sales.facts()
    assert facts[0] == "lead.created"
    assert sorted(facts[1:]) == ["account.created", "contact.created", "lead.qualified", "opportunity.created"]
    qualified = next(event for event in await sales.events() if event["type"] == "crm.sales.lead.qualified.v1")
    assert qualified["data"]["created"] == ["account", "contact", "opportunity"]


async def test_a_person_alone_is_the_customer(sales: Sales) -> None:
    lead = await sales.make("leads", topic="Gold card", last_name="Lovelace")
    won = await sales.act("leads", lead, "qualify", opportunity={"name": "Card for Ada", "probability": 55})
    deal = await sales.get("opportunities", won["opportunity_id"])
    assert won["account_id"] is None
    assert (deal["customer"]["type"], deal["customer"]["id"]) == ("contact", won["contact_id"])
    assert (deal["name"], deal["probability"]) == ("Card for Ada", 55)


async def test_only_what_is_asked_for_is_made(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    won = await sales.act("leads", lead, "qualify", create_account=False, create_opportunity=False)
    assert (won["account_id"], won["opportunity_id"]) == (None, None)
    assert won["contact_id"] is not None


async def test_nothing_can_be_made_of_a_name_nobody_gave(sales: Sales) -> None:
    lead = await sales.make("leads", topic="Gold card", last_name="Lovelace")
    answer = await sales.try_act("leads", lead, "qualify", create_account=True)
    assert (answer.status, answer.problem) == (422, "name-required")


async def test_existing_customers_are_linked(sales: Sales) -> None:
    account = await sales.make("accounts", name="Analytical Engines Limited")
    contact = await sales.make("contacts", last_name="Lovelace")
    lead = await sales.make("leads", **ADA)
    won = await sales.act("leads", lead, "qualify", account_id=account["id"], contact_id=contact["id"])
    assert (won["account_id"], won["contact_id"]) == (account["id"], contact["id"])
    assert Counter(await sales.facts())["account.created"] == 1
    deal = await sales.get("opportunities", won["opportunity_id"])
    assert deal["customer"]["id"] == account["id"]


@pytest.mark.parametrize("opted_out", [True, False])
async def test_a_linked_contact_gets_the_account_that_is_made(sales: Sales, opted_out: bool) -> None:
    contact = await sales.make("contacts", last_name="Lovelace")
    lead = await sales.make("leads", **ADA, do_not_phone=opted_out)
    won = await sales.act("leads", lead, "qualify", contact_id=contact["id"])
    linked = await sales.get("contacts", contact["id"])
    assert (linked["account_id"], linked["do_not_phone"], linked["version"]) == (won["account_id"], opted_out, 2)
    other = await sales.make("leads", **(ADA | {"company_name": "Difference Engines plc"}))
    await sales.act("leads", other, "qualify", contact_id=contact["id"])
    assert (await sales.get("contacts", contact["id"]))["account_id"] == won["account_id"]


async def test_an_inactive_or_unknown_customer_is_not_linked(sales: Sales) -> None:
    account = await sales.make("accounts", name="Closed")
    await sales.act("accounts", account, "deactivate")
    lead = await sales.make("leads", **ADA)
    answer = await sales.try_act("leads", lead, "qualify", account_id=account["id"])
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    answer = await sales.try_act("leads", lead, "qualify", contact_id=account["id"])
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    assert answer.json["errors"][0]["pointer"] == "/contact_id"
    assert (await sales.get("leads", lead["id"]))["status"] == "open"


async def test_likely_duplicates_stop_it_until_they_are_allowed(sales: Sales) -> None:
    known = await sales.make("contacts", last_name="Byron", email="ada@example.org")
    company = await sales.make("accounts", name="Analytical Engine Ltd.")
    lead = await sales.make("leads", **ADA)
    answer = await sales.try_act("leads", lead, "qualify")
    assert (answer.status, answer.problem) == (409, "possible-duplicates")
    likely = {found["id"]: found["reasons"] for found in answer.json["duplicates"]}
    assert likely == {known["id"]: ["email"], company["id"]: ["name"]}
    assert {found["name"] for found in answer.json["duplicates"]} == {known["number"], company["name"]}
    assert (await sales.act("leads", lead, "qualify", allow_duplicates=True))["status"] == "qualified"


async def test_duplicates_the_caller_may_not_read_stay_hidden(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    await sales.make("contacts", last_name="Byron", email="ada@example.org")
    seller = sales_for(principal(Depth.USER))
    lead = await seller.make("leads", **ADA)
    answer = await seller.try_act("leads", lead, "qualify")
    assert (answer.problem, answer.json["duplicates"]) == ("possible-duplicates", [{"hidden": True}])


async def test_whoever_qualifies_may_create_what_it_makes(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    seller = sales_for(principal(Depth.USER, account="01110"))
    lead = await seller.make("leads", **ADA)
    answer = await seller.try_act("leads", lead, "qualify")
    assert (answer.status, answer.problem) == (403, "forbidden")
    assert await sales.facts() == ["lead.created"]


async def test_a_lead_reopens_while_its_deal_is_open_and_makes_nothing_twice(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    first = await sales.act("leads", lead, "qualify")
    reopened = await sales.act("leads", lead, "reopen")
    assert reopened["account_id"] == first["account_id"]
    again = await sales.act("leads", lead, "qualify")
    for link in ("account_id", "contact_id", "opportunity_id"):
        assert again[link] == first[link]
    counts = Counter(await sales.facts())
    assert counts["account.created"] == counts["contact.created"] == counts["opportunity.created"] == 1
    assert (await sales.events())[-1]["data"]["created"] == []


async def test_a_lead_whose_deal_is_closed_stays_qualified(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    won = await sales.act("leads", lead, "qualify")
    await sales.act("opportunities", {"id": won["opportunity_id"]}, "lose")
    answer = await sales.try_act("leads", lead, "reopen")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    await sales.act("opportunities", {"id": won["opportunity_id"]}, "reopen")
    assert (await sales.act("leads", lead, "reopen"))["status"] == "open"


async def test_a_qualified_lead_is_not_deleted(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    await sales.act("leads", lead, "qualify")
    answer = await sales.delete("leads", lead)
    assert (answer.status, answer.problem) == (409, "not-deletable")


async def test_where_customers_are_made_on_win_qualifying_makes_none(sales: Sales) -> None:
    await sales.make_customers_on_win()
    lead = await sales.make("leads", **ADA)
    for field in ("create_account", "create_contact"):
        answer = await sales.try_act("leads", lead, "qualify", **{field: True})
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, f"/{field}")
    won = await sales.act("leads", lead, "qualify")
    assert (won["account_id"], won["contact_id"]) == (None, None)
    assert (await sales.get("opportunities", won["opportunity_id"]))["customer"] is None


async def test_fifty_at_once_qualify_a_lead_once(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    answers = await asyncio.gather(*(sales.try_act("leads", lead, "qualify") for _ in range(50)))
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 49}
    assert {answer.problem for answer in answers if answer.status == 409} == {"illegal-transition"}
    counts = Counter(await sales.facts())
    assert counts["lead.qualified"] == counts["account.created"] == counts["opportunity.created"] == 1
    assert len(await sales.page("accounts")) == len(await sales.page("opportunities")) == 1


async def test_a_repeated_qualify_gets_the_first_answer(sales: Sales) -> None:
    lead = await sales.make("leads", **ADA)
    path, key = f"/api/v1/leads/{lead['id']}/qualify", {"idempotency-key": "once"}
    first = await sales.client.post(path, {}, headers=key)
    again = await sales.client.post(path, {}, headers=key)
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert Counter(await sales.facts())["lead.qualified"] == 1


async def test_an_opt_out_of_the_lead_stands_in_the_contact_that_it_is_linked_with(sales: Sales) -> None:
    contact = await sales.make("contacts", last_name="Lovelace", do_not_phone=True)
    lead = await sales.make("leads", **ADA, do_not_email=True)
    await sales.act("leads", lead, "qualify", contact_id=contact["id"])
    linked = await sales.get("contacts", contact["id"])
    assert (linked["do_not_email"], linked["do_not_phone"], linked["do_not_post"]) == (True, True, False)
    assert (await sales.facts()).count("contact.updated") == 1


async def test_a_contact_that_the_lead_says_nothing_new_of_stays_as_it_is(sales: Sales) -> None:
    contact = await sales.make("contacts", last_name="Lovelace", do_not_email=True)
    lead = await sales.make("leads", **ADA, do_not_email=True)
    await sales.act("leads", lead, "qualify", contact_id=contact["id"], create_account=False)
    assert (await sales.get("contacts", contact["id"]))["version"] == 1
