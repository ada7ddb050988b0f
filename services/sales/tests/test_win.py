"""Winning: value, customer and tier. The customer of a deal without one is made from its lead."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from crm_contracts.types import utc_text
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import principal

from .journey import ADA, Json, Sales, euros
from .selling import VAN, make_customer, make_quote


async def deal_with_customer(sales: Sales, **fields: object) -> tuple[Json, Json]:
    """An account and an open deal with it."""
    account = await sales.make("accounts", name="Movers Ltd")
    customer = {"type": "account", "id": account["id"]}
    return account, await sales.make("opportunities", name="Fleet", customer=customer, **fields)


async def deal_from_lead(sales: Sales, **lead: object) -> tuple[Json, Json]:
    """A lead and its deal, with customers made on win."""
    await sales.make_customers_on_win()
    made = await sales.make("leads", **(lead or ADA))
    qualified = await sales.act("leads", made, "qualify")
    return qualified, await sales.get("opportunities", qualified["opportunity_id"])


async def test_a_deal_is_won_with_its_estimate_unless_said(sales: Sales, caller: Principal) -> None:
    account, deal = await deal_with_customer(sales, estimated_value=euros("900.00"))
    before = len(await sales.events())
    won = await sales.act("opportunities", deal, "win")
    assert (won["status"], won["status_reason"]) == ("won", "won")
    assert won["actual_value"] == won["actual_value_base"] == euros("900.00")
    assert (won["closes"][0]["outcome"], won["closes"][0]["actual_value"]) == ("won", euros("900.00"))
    assert won["closes"][0]["by"] == str(caller.id)
    assert sorted(await sales.facts(after=before)) == ["account.updated", "opportunity.won"]
    told = next(event for event in await sales.events() if event["type"] == "crm.sales.opportunity.won.v1")["data"]
    assert told["actual_value"] == told["actual_value_base"] == euros("900.00")
    assert told["won_at"] == won["closed_at"]
    assert (await sales.get("accounts", account["id"]))["tier"] == "standard"


async def test_what_was_paid_may_differ_and_the_close_lie_in_the_past(sales: Sales) -> None:
    _, deal = await deal_with_customer(sales, estimated_value=euros("900.00"))
    won = await sales.act(
        "opportunities", deal, "win", actual_value=euros("850.00"), closed_at="2026-01-05T10:00:00+01:00", note="Done"
    )
    assert (won["actual_value"], won["estimated_value"]) == (euros("850.00"), euros("900.00"))
    assert (won["closed_at"], won["closes"][0]["note"]) == ("2026-01-05T09:00:00Z", "Done")


@pytest.mark.parametrize("command", ["win", "lose"])
async def test_no_deal_is_closed_in_the_future(sales: Sales, command: str) -> None:
    _, deal = await deal_with_customer(sales, estimated_value=euros("900.00"))
    later = utc_text(clock.now() + timedelta(minutes=5))
    answer = await sales.try_act("opportunities", deal, command, closed_at=later)
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/closed_at")


async def test_a_win_needs_a_value(sales: Sales) -> None:
    _, deal = await deal_with_customer(sales)
    answer = await sales.try_act("opportunities", deal, "win")
    assert (answer.status, answer.problem) == (422, "actual-value-required")
    won = await sales.act("opportunities", deal, "win", actual_value=euros("0.00"))
    assert won["actual_value"] == euros("0.00")


async def test_a_win_needs_a_customer(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Fleet", estimated_value=euros("900.00"))
    answer = await sales.try_act("opportunities", deal, "win")
    assert (answer.status, answer.problem) == (422, "customer-required")
    assert await sales.facts() == ["opportunity.created"]


async def test_a_deal_is_won_in_its_own_currency(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.9", valid_from="2020-01-01")
    _, deal = await deal_with_customer(sales, estimated_value=euros("900.00"))
    answer = await sales.try_act("opportunities", deal, "win", actual_value={"amount": "1.00", "currency": "USD"})
    assert (answer.status, answer.problem) == (422, "currency-mismatch")
    _, other = await deal_with_customer(sales)
    won = await sales.act("opportunities", other, "win", actual_value={"amount": "100.00", "currency": "USD"})
    assert (won["actual_value_base"], won["exchange_rate"]) == (euros("90.00"), "0.9")
    reopened = await sales.act("opportunities", other, "reopen")
    assert (reopened["actual_value"], reopened["actual_value_base"], reopened["exchange_rate"]) == (None, None, None)


@pytest.mark.parametrize(("tier", "after"), [("standard", "standard"), ("key", "key"), ("prospect", "standard")])
async def test_the_customer_is_at_least_standard(sales: Sales, tier: str, after: str) -> None:
    ada = await sales.make("contacts", last_name="Lovelace", tier=tier)
    customer = {"type": "contact", "id": ada["id"]}
    deal = await sales.make("opportunities", name="Card", customer=customer, estimated_value=euros("1.00"))
    await sales.act("opportunities", deal, "win")
    now = await sales.get("contacts", ada["id"])
    assert (now["tier"], now["version"]) == (after, 1 if tier == after else 2)


async def test_winning_makes_the_customers_of_the_lead_and_links_them(sales: Sales) -> None:
    lead, deal = await deal_from_lead(sales)
    assert deal["customer"] is None
    before = len(await sales.events())
    won = await sales.act("opportunities", deal, "win")
    now = await sales.get("leads", lead["id"])
    account, contact = await sales.get("accounts", now["account_id"]), await sales.get("contacts", now["contact_id"])
    assert won["customer"] == {
        "type": "account",
        "id": account["id"],
        "name": "Analytical Engines Ltd",
        "deleted": False,
    }
    assert (account["tier"], contact["tier"], contact["account_id"]) == ("standard", "prospect", account["id"])
    assert (now["status"], now["version"]) == ("qualified", lead["version"] + 1)
    assert Counter(await sales.facts(after=before)) == Counter(
        ["account.created", "contact.created", "lead.updated", "opportunity.won"]
    )
    told = next(event for event in await sales.events() if event["type"] == "crm.sales.lead.updated.v1")
    assert told["data"]["changed"] == {
        "account_id": {"old": None, "new": account["id"]},
        "contact_id": {"old": None, "new": contact["id"]},
    }


async def test_an_applicant_becomes_a_contact_and_customer(sales: Sales) -> None:
    lead, deal = await deal_from_lead(sales, topic="Gold card", last_name="Lovelace", estimated_value=euros("50.00"))
    won = await sales.act("opportunities", deal, "win")
    assert won["customer"]["type"] == "contact"
    assert (await sales.get("contacts", won["customer"]["id"]))["tier"] == "standard"
    assert (await sales.get("leads", lead["id"]))["account_id"] is None


async def test_a_customer_linked_on_qualifying_is_used_and_the_other_made(sales: Sales) -> None:
    await sales.make_customers_on_win()
    account = await sales.make("accounts", name="Engines")
    lead = await sales.make("leads", **ADA)
    qualified = await sales.act("leads", lead, "qualify", account_id=account["id"])
    await sales.act("opportunities", {"id": qualified["opportunity_id"]}, "win")
    now = await sales.get("leads", lead["id"])
    assert now["account_id"] == account["id"]
    assert (await sales.get("contacts", now["contact_id"]))["account_id"] == account["id"]
    assert (await sales.get("accounts", account["id"]))["tier"] == "standard"
    assert Counter(await sales.facts())["account.created"] == 1


async def test_winning_again_makes_nobody_twice(sales: Sales) -> None:
    _, deal = await deal_from_lead(sales)
    first = await sales.act("opportunities", deal, "win")
    await sales.act("opportunities", deal, "reopen")
    again = await sales.act("opportunities", deal, "win")
    assert again["customer"] == first["customer"]
    counts = Counter(await sales.facts())
    assert (counts["account.created"], counts["contact.created"], counts["opportunity.won"]) == (1, 1, 2)


async def test_likely_duplicates_stop_a_win_until_they_are_allowed(sales: Sales) -> None:
    known = await sales.make("contacts", last_name="Byron", email="ada@example.org")
    _, deal = await deal_from_lead(sales)
    answer = await sales.try_act("opportunities", deal, "win")
    assert (answer.status, answer.problem) == (409, "possible-duplicates")
    assert answer.json["duplicates"][0]["id"] == known["id"]
    assert (await sales.get("opportunities", deal["id"]))["status"] == "open"
    assert (await sales.act("opportunities", deal, "win", allow_duplicates=True))["status"] == "won"


async def test_a_deal_qualified_under_the_other_setting_still_gets_its_customer(sales: Sales) -> None:
    _, deal = await deal_from_lead(sales)
    answer = await sales.client.patch("/api/v1/settings/sales", {"customer_creation": "on_qualify"})
    assert answer.status == 200
    assert (await sales.act("opportunities", deal, "win"))["customer"]["type"] == "account"


async def test_whoever_wins_may_create_what_it_makes(sales: Sales, sales_for: Callable[[Principal], Sales]) -> None:
    seller = sales_for(principal(Depth.USER, account="01110"))
    await sales.make_customers_on_win()
    lead = await seller.make("leads", **ADA)
    qualified = await seller.act("leads", lead, "qualify")
    answer = await seller.try_act("opportunities", {"id": qualified["opportunity_id"]}, "win")
    assert (answer.status, answer.problem) == (403, "forbidden")


async def test_twenty_at_once_win_a_deal_once(sales: Sales) -> None:
    _, deal = await deal_from_lead(sales)
    answers = await asyncio.gather(*(sales.try_act("opportunities", deal, "win") for _ in range(20)))
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 19}
    counts = Counter(await sales.facts())
    once = ("opportunity.won", "account.created", "contact.created", "lead.updated")
    assert [counts[fact] for fact in once] == [1, 1, 1, 1]


async def test_twenty_deals_of_one_lead_won_at_once_share_its_customer(sales: Sales) -> None:
    lead, first = await deal_from_lead(sales)
    value = euros("10.00")
    deals = [first] + [
        await sales.make("opportunities", name=f"Card {n}", originating_lead_id=lead["id"], estimated_value=value)
        for n in range(19)
    ]
    answers = await asyncio.gather(*(sales.try_act("opportunities", deal, "win") for deal in deals))
    assert Counter(answer.status for answer in answers) == {200: 20}
    assert len({answer.json["customer"]["id"] for answer in answers}) == 1
    counts = Counter(await sales.facts())
    assert (counts["account.created"], counts["contact.created"], counts["opportunity.won"]) == (1, 1, 20)


async def test_twenty_deals_of_one_customer_won_at_once_raise_its_tier_once(sales: Sales) -> None:
    account, first = await deal_with_customer(sales, estimated_value=euros("1.00"))
    customer = {"type": "account", "id": account["id"]}
    deals = [first] + [
        await sales.make("opportunities", name=f"Deal {n}", customer=customer, estimated_value=euros("1.00"))
        for n in range(19)
    ]
    answers = await asyncio.gather(*(sales.try_act("opportunities", deal, "win") for deal in deals))
    assert Counter(answer.status for answer in answers) == {200: 20}
    counts = Counter(await sales.facts())
    assert (counts["opportunity.won"], counts["account.updated"]) == (20, 1)


async def test_winning_and_reopening_the_lead_at_once_never_wait_for_each_other(sales: Sales) -> None:
    lead, deal = await deal_from_lead(sales)
    for _ in range(5):
        answers = await asyncio.gather(
            sales.try_act("opportunities", deal, "win", allow_duplicates=True),
            sales.try_act("leads", lead, "reopen"),
            sales.try_act("leads", lead, "qualify", allow_duplicates=True),
        )
        assert {answer.status for answer in answers} <= {200, 409}
        await sales.try_act("opportunities", deal, "reopen")
        await sales.try_act("leads", lead, "qualify")


async def quoted_deal(sales: Sales, *activated: bool) -> tuple[Json, list[Json]]:
    """A deal from a lead under ``on_win``, with a quote without customer for each of ``activated``."""
    _, deal = await deal_from_lead(sales)
    quotes = []
    for active in activated:
        quote = await sales.make("quotes", opportunity_id=deal["id"], lines=[VAN])
        assert quote["customer"] is None
        quotes.append(await sales.act("quotes", quote, "activate") if active else quote)
    return deal, quotes


async def test_a_person_is_quoted_before_there_is_a_customer_and_the_win_links_the_quotes(sales: Sales) -> None:
    deal, (accepted, draft) = await quoted_deal(sales, True, False)
    await sales.act("quotes", accepted, "win")
    other = await make_quote(sales)
    won = await sales.act("opportunities", deal, "win")
    for quote in (accepted, draft):
        linked = await sales.get("quotes", quote["id"])
        assert linked["customer"] == won["customer"]
    assert (await sales.get("quotes", other["id"]))["customer"]["name"] == "Movers"
    assert Counter(await sales.facts())["quote.updated"] == 2
    changed = [event["data"]["changed"] for event in await sales.events() if event["type"].endswith("quote.updated.v1")]
    assert [set(change) for change in changed] == [{"customer"}] * 2
    assert (await sales.act("quotes", draft, "activate"))["status"] == "active"


async def test_a_customer_that_is_given_to_a_deal_by_hand_is_its_quotes_too(sales: Sales) -> None:
    deal, (offered,) = await quoted_deal(sales, True)
    customer = await make_customer(sales)
    await sales.patch("opportunities", deal, customer=customer)
    assert (await sales.get("quotes", offered["id"]))["customer"]["id"] == customer["id"]
    another = await make_customer(sales, name="Others")
    await sales.patch("opportunities", deal, customer=another)
    assert (await sales.get("quotes", offered["id"]))["customer"]["id"] == customer["id"]


async def test_nobody_is_quoted_whom_no_win_will_make_a_customer(sales: Sales) -> None:
    deal, (draft,) = await quoted_deal(sales, False)
    await sales.client.patch("/api/v1/settings/sales", {"customer_creation": "on_qualify"})
    assert (await sales.try_act("quotes", draft, "activate")).problem == "customer-required"
    await sales.make_customers_on_win()
    await sales.act("opportunities", deal, "lose")
    # The draft is canceled with its deal.
    assert (await sales.try_act("quotes", draft, "activate")).problem == "illegal-transition"


async def test_twenty_wins_at_once_make_one_customer_and_link_every_quote_to_it(sales: Sales) -> None:
    deal, quotes = await quoted_deal(sales, True, True, False)
    *answers, late = await asyncio.gather(
        *(sales.try_act("opportunities", deal, "win", force=True) for _ in range(20)),
        sales.try_act("opportunities", deal, "quote"),
    )
    assert Counter(answer.status for answer in answers) == {200: 1, 409: 19}
    won = await sales.get("opportunities", deal["id"])
    if late.status == 201:
        quotes.append(late.json)
    for quote in quotes:
        assert (await sales.get("quotes", quote["id"]))["customer"]["id"] == won["customer"]["id"]
    counts = Counter(await sales.facts())
    once = ("opportunity.won", "account.created", "contact.created")
    assert [counts[fact] for fact in once] == [1, 1, 1]


async def test_winning_patching_and_activating_at_once_never_wait_for_each_other(sales: Sales) -> None:
    deal, (offered, draft) = await quoted_deal(sales, True, False)
    for _ in range(5):
        answers = await asyncio.gather(
            sales.try_act("opportunities", deal, "win", force=True),
            sales.try_patch("quotes", draft, opportunity_id=deal["id"], description="Later"),
            sales.try_act("quotes", draft, "reprice"),
            sales.try_act("quotes", offered, "win"),
        )
        assert {answer.status for answer in answers} <= {200, 409}, [answer.body for answer in answers]
        await sales.try_act("opportunities", deal, "reopen")


async def test_an_opt_out_of_the_lead_stands_in_the_customer_of_its_deal(sales: Sales) -> None:
    await sales.make_customers_on_win()
    contact = await sales.make("contacts", last_name="Lovelace")
    lead = await sales.make("leads", **ADA, do_not_email=True)
    deal = {"id": (await sales.act("leads", lead, "qualify"))["opportunity_id"]}
    await sales.patch("opportunities", deal, customer={"type": "contact", "id": contact["id"]})
    await sales.act("opportunities", deal, "win", allow_duplicates=True)
    customer = await sales.get("contacts", contact["id"])
    assert (customer["do_not_email"], customer["tier"]) == (True, "standard")
