"""Losing a deal closes its open quotes, and reopening it says which, and takes them up again if asked to."""

from .journey import Json, Sales
from .paperwork import buyer, derived, state
from .selling import FLEET, days_pass, make_quote


async def lost_with_two(sales: Sales, **active: str) -> tuple[Json, Json, Json, Json]:
    """A lost deal that had a draft and an active quote; the record after the loss, and the two quotes."""
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales))
    draft = await make_quote(sales, opportunity_id=deal["id"])
    offered = await sales.act("quotes", await make_quote(sales, opportunity_id=deal["id"], **active), "activate")
    return deal, await sales.act("opportunities", deal, "lose"), draft, offered


async def test_losing_a_deal_closes_its_open_quotes_and_says_which(sales: Sales) -> None:
    deal, lost, draft, offered = await lost_with_two(sales)
    states = [state(await sales.get("quotes", one["id"])) for one in (draft, offered)]
    assert states == ["closed/canceled", "closed/lost"]
    assert lost["closes"][-1]["closed_quotes"] == [
        {"id": one["id"], "number": one["number"], "status": status, "reopened": False}
        for one, status in ((draft, "draft"), (offered, "active"))
    ]
    assert (await sales.facts())[-3:] == ["quote.canceled", "quote.lost", "opportunity.lost"]
    reopened = await sales.act("opportunities", deal, "reopen")
    assert reopened["closes"] == lost["closes"]
    assert state(await sales.get("quotes", offered["id"])) == "closed/lost"


async def test_reopening_takes_quotes_up_again_as_they_were(sales: Sales) -> None:
    deal, _, draft, offered = await lost_with_two(sales)
    reopened = await sales.act("opportunities", deal, "reopen", reopen_quotes=True)
    again = [await sales.get("quotes", one["id"]) for one in (draft, offered)]
    assert [state(one) for one in again] == ["draft/draft", "active/active"]
    assert {one["closed_at"] for one in again} == {None}
    assert [one["reopened"] for one in reopened["closes"][-1]["closed_quotes"]] == [True, True]
    assert (await sales.facts())[-3:] == ["quote.reopened", "quote.reopened", "opportunity.reopened"]
    assert state(await sales.act("quotes", offered, "win")) == "won/won"


async def test_a_quote_that_was_revised_or_has_expired_stays_closed(sales: Sales) -> None:
    deal, _, draft, _ = await lost_with_two(sales, effective_to="2099-12-31")
    await sales.act("opportunities", deal, "reopen")
    await derived(sales, "quotes", draft, "revise")
    await sales.act("opportunities", deal, "lose")
    reopened = await sales.act("opportunities", deal, "reopen", reopen_quotes=True)
    # The second loss closed the revision alone.
    assert [one["number"] for one in reopened["closes"][-1]["closed_quotes"]] == [draft["number"]]
    assert state(await sales.get("quotes", draft["id"])) == "closed/revised"


async def test_nothing_is_offered_in_a_lost_deal(sales: Sales) -> None:
    deal, _, draft, offered = await lost_with_two(sales)
    for quote in (draft, offered):
        answer = await sales.try_act("quotes", quote, "revise")
        assert (answer.status, answer.problem) == (422, "inactive-reference")
    assert await days_pass(sales, 1) == 0
    assert (await sales.try_make("quotes", **FLEET, opportunity_id=deal["id"])).status == 422
