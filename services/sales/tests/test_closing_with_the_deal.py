"""Losing a deal closes its open quotes, and reopening it says which, and takes them up again if asked to."""

import asyncio
from uuid import UUID

from crm_kit.process.runtime import Runtime
from crm_kit.testing import principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork
from crm_sales.quote.drafting import revise_quote

from .journey import Json, Sales
from .paperwork import buyer, derived, state
from .selling import FLEET, days_pass, make_quote

WAITING = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"


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


async def test_quotes_are_not_taken_up_again_for_an_inactive_customer(sales: Sales) -> None:
    deal, lost, draft, _ = await lost_with_two(sales)
    account = await sales.get("accounts", lost["customer"]["id"])
    await sales.act("accounts", account, "deactivate")
    answer = await sales.try_act("opportunities", deal, "reopen", reopen_quotes=True)
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    assert (await sales.get("opportunities", deal["id"]))["status"] == "lost"
    await sales.act("accounts", account, "activate")
    await sales.act("opportunities", deal, "reopen", reopen_quotes=True)
    assert state(await sales.get("quotes", draft["id"])) == "draft/draft"


async def test_a_draft_past_its_last_day_stays_closed(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales))
    draft, over = [
        await make_quote(sales, opportunity_id=deal["id"], effective_to=day) for day in ("2099-12-31", "2020-12-31")
    ]
    await sales.act("opportunities", deal, "lose")
    reopened = await sales.act("opportunities", deal, "reopen", reopen_quotes=True)
    again = {one["id"]: one["reopened"] for one in reopened["closes"][-1]["closed_quotes"]}
    assert again == {draft["id"]: True, over["id"]: False}
    assert state(await sales.get("quotes", over["id"])) == "closed/canceled"


async def test_a_loss_closes_the_revision_that_is_drafted_at_the_same_time(sales: Sales, runtime: Runtime) -> None:
    deal = await sales.make("opportunities", name="Fleet", customer=await buyer(sales))
    offered = await sales.act("quotes", await make_quote(sales, opportunity_id=deal["id"]), "activate")
    revising = UnitOfWork(runtime, principal(), Cause(correlation_id="a test"))
    try:
        revision = await revise_quote(revising, UUID(offered["id"]))
        await revising.flush()
        losing = asyncio.create_task(sales.act("opportunities", deal, "lose"))
        async with runtime.db.autocommit() as conn:
            while not (await conn.exec_driver_sql(WAITING)).scalar_one():
                assert not losing.done()
                await asyncio.sleep(0.01)
        await revising.commit()
    finally:
        await revising.close()
    closed = (await losing)["closes"][-1]["closed_quotes"]
    assert [(one["id"], one["status"]) for one in closed] == [(str(revision.id), "draft")]
    assert state(await sales.get("quotes", str(revision.id))) == "closed/canceled"


async def test_nothing_is_offered_in_a_lost_deal(sales: Sales) -> None:
    deal, _, draft, offered = await lost_with_two(sales)
    for quote in (draft, offered):
        answer = await sales.try_act("quotes", quote, "revise")
        assert (answer.status, answer.problem) == (422, "inactive-reference")
    assert await days_pass(sales, 1) == 0
    assert (await sales.try_make("quotes", **FLEET, opportunity_id=deal["id"])).status == 422
