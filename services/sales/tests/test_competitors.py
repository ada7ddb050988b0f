"""Competitors: references from deals, lost deals, and figures that match a recount."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kit.access.privileges import Depth, Principal
from crm_kit.errors import InvalidValue
from crm_kit.process.runtime import Runtime
from crm_kit.testing import People, counted, principal
from crm_sales.competitor.domain import win_rate
from crm_sales.opportunity.domain import MAX_COMPETITORS, require_kept, with_competitor

from .journey import API, Json, Sales, euros

BABBAGE = {"name": "Difference Engines Ltd", "website": "https://example.org", "strengths": "Delivers in a week"}
COUNTS = st.integers(0, 1000)


async def rival(sales: Sales, **fields: object) -> Json:
    return await sales.make("competitors", **(BABBAGE | fields))


async def figures(sales: Sales, competitor: Json) -> Json:
    found = await sales.get("competitors", f"{competitor['id']}/figures")
    assert found.pop("as_of").endswith("Z")
    return found


async def test_a_competitor_is_made_found_changed_and_deleted(sales: Sales) -> None:
    card = await sales.make("products", name="Gold card")
    made = await rival(sales, product_ids=[card["id"], card["id"]])
    assert (made["product_ids"], made["status"], made["weaknesses"]) == ([card["id"]], "active", None)
    assert made["allowed_actions"] == ["deactivate", "assign"]
    assert [one["id"] for one in await sales.page("competitors", "q=engines+diff")] == [made["id"]]
    assert [one["id"] for one in await sales.page("competitors", f"product_ids[contains]={card['id']}")] == [made["id"]]
    assert (await sales.patch("competitors", made, product_ids=[card["id"]]))["version"] == 1
    assert (await sales.patch("competitors", made, weaknesses="No service", product_ids=[]))["version"] == 2
    assert await sales.page("competitors", f"product_ids[contains]={card['id']}") == []
    assert (await sales.delete("competitors", made)).status == 204
    assert await sales.facts(after=1) == [f"competitor.{fact}" for fact in ("created", "updated", "deleted")]


async def test_an_inactive_competitor_is_read_only_and_named_by_no_further_deal(sales: Sales) -> None:
    babbage = await rival(sales)
    deal = await sales.make("opportunities", name="Fleet", competitor_ids=[babbage["id"]])
    await sales.act("competitors", babbage, "deactivate", reason="Closed down")
    assert (await sales.try_patch("competitors", babbage, weaknesses="Gone")).problem == "illegal-transition"
    answer = await sales.try_make("opportunities", name="Fleet", competitor_ids=[babbage["id"]])
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    assert answer.json["errors"][0]["pointer"] == "/competitor_ids/0"
    kept = await sales.patch("opportunities", deal, rating="hot", competitor_ids=[babbage["id"]])
    assert kept["competitor_ids"] == [babbage["id"]]
    assert (await sales.act("opportunities", deal, "lose", competitor_id=babbage["id"]))["status"] == "lost"


async def test_a_product_that_is_not_there_is_refused_with_its_place(sales: Sales) -> None:
    card = await sales.make("products", name="Gold card")
    answer = await sales.try_make("competitors", **BABBAGE, product_ids=[card["id"], str(uuid4())])
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    assert answer.json["errors"][0]["pointer"] == "/product_ids/1"
    made = await rival(sales, product_ids=[card["id"]])
    answer = await sales.delete("products", card)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"] == [{"type": "competitor", "id": made["id"], "name": made["name"]}]


async def test_deals_are_found_by_who_is_after_them(sales: Sales) -> None:
    babbage, hollerith = await rival(sales), await rival(sales, name="Tabulators")
    both = await sales.make("opportunities", name="Both", competitor_ids=[hollerith["id"], babbage["id"]])
    await sales.make("opportunities", name="One", competitor_ids=[hollerith["id"]])
    nobody = await sales.make("opportunities", name="None")
    assert (both["competitor_ids"], nobody["competitor_ids"]) == ([hollerith["id"], babbage["id"]], [])
    assert [one["name"] for one in await sales.page("opportunities", f"competitor_ids[contains]={babbage['id']}")] == [
        "Both"
    ]
    term = {"field": "competitor_ids", "op": "contains", "value": hollerith["id"]}
    answer = await sales.client.post(f"{API}/opportunities/query", {"filter": {"not": term}})
    assert [one["name"] for one in answer.json["items"]] == ["None"]
    changed = await sales.patch("opportunities", both, competitor_ids=[babbage["id"]])
    assert changed["competitor_ids"] == [babbage["id"]]
    told = (await sales.events())[-1]["data"]["changed"]["competitor_ids"]
    assert told == {"changed": True} or told["new"] == [babbage["id"]]


async def test_a_deal_is_lost_to_a_competitor_who_is_one_of_its_own_from_then_on(sales: Sales) -> None:
    babbage, hollerith = await rival(sales), await rival(sales, name="Tabulators")
    deal = await sales.make("opportunities", name="Fleet", competitor_ids=[babbage["id"]])
    lost = await sales.act("opportunities", deal, "lose", reason="out_sold", competitor_id=hollerith["id"])
    assert (lost["status_reason"], lost["closes"][0]["competitor_id"]) == ("out_sold", hollerith["id"])
    assert lost["competitor_ids"] == [babbage["id"], hollerith["id"]]
    assert (await sales.events())[-1]["data"]["competitor_id"] == hollerith["id"]
    await sales.act("opportunities", deal, "reopen")
    answer = await sales.try_patch("opportunities", deal, competitor_ids=[babbage["id"]])
    assert (answer.status, answer.problem) == (422, "competitor-kept")
    kept = await sales.patch("opportunities", deal, competitor_ids=[hollerith["id"]])
    assert kept["competitor_ids"] == [hollerith["id"]]


async def test_who_names_the_winner_says_out_sold_by_that(sales: Sales) -> None:
    babbage = await rival(sales)
    deal = await sales.make("opportunities", name="Fleet")
    answer = await sales.try_act("opportunities", deal, "lose", reason="canceled", competitor_id=babbage["id"])
    assert (answer.status, answer.problem) == (422, "not-out-sold")
    answer = await sales.try_act("opportunities", deal, "lose", competitor_id=str(uuid4()))
    assert (answer.problem, answer.json["errors"][0]["pointer"]) == ("unknown-reference", "/competitor_id")
    lost = await sales.act("opportunities", deal, "lose", competitor_id=babbage["id"])
    assert lost["status_reason"] == "out_sold"


async def test_a_competitor_that_a_deal_names_stays(sales: Sales) -> None:
    babbage = await rival(sales)
    deal = await sales.make("opportunities", name="Fleet")
    await sales.act("opportunities", deal, "lose", competitor_id=babbage["id"])
    await sales.act("opportunities", deal, "reopen")
    answer = await sales.delete("competitors", babbage)
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"] == [{"type": "opportunity", "id": deal["id"], "name": "Fleet"}]


async def test_figures_are_what_a_recount_says(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.5", valid_from="2020-01-01")
    account = await sales.make("accounts", name="Movers")
    babbage, hollerith = await rival(sales), await rival(sales, name="Tabulators")
    empty = {"deals": 0, "open_count": 0, "won_count": 0, "lost_count": 0, "win_rate": None}
    assert await figures(sales, babbage) == empty | {"won_value": euros("0.00"), "lost_value": euros("0.00")}
    both = [babbage["id"], hollerith["id"]]
    stories: list[tuple[str | None, str | None, list[str], Json]] = [
        (None, None, both, {"estimated_value": euros("1.00")}),
        ("win", None, both, {"estimated_value": euros("100.10")}),
        ("win", None, both[:1], {"estimated_value": {"amount": "50.00", "currency": "USD"}}),
        ("win", None, [], {"estimated_value": euros("7.00")}),
        ("lose", both[0], both, {"estimated_value": euros("40.00")}),
        ("lose", both[1], both, {"estimated_value": euros("900.00")}),
        ("lose", both[0], [], {}),
        ("lose", None, both, {"estimated_value": euros("3000.00")}),
    ]
    for end, to, competitors, fields in stories:
        customer = {"type": "account", "id": account["id"]}
        deal = await sales.make("opportunities", name="D", customer=customer, competitor_ids=competitors, **fields)
        if end is not None:
            await sales.act("opportunities", deal, end, **({"competitor_id": to} if to else {}))
    assert await figures(sales, babbage) == {
        "deals": 7,
        "open_count": 1,
        "won_count": 2,
        "won_value": euros("125.10"),
        "lost_count": 2,
        "lost_value": euros("40.00"),
        "win_rate": 50.0,
    }
    second = await figures(sales, hollerith)
    assert (second["deals"], second["won_count"], second["lost_count"], second["lost_value"]) == (
        5,
        1,
        1,
        euros("900.00"),
    )


async def test_a_deal_that_was_lost_and_won_after_all_counts_as_won(sales: Sales) -> None:
    babbage, account = await rival(sales), await sales.make("accounts", name="Movers")
    customer = {"type": "account", "id": account["id"]}
    deal = await sales.make("opportunities", name="Fleet", customer=customer, estimated_value=euros("5.00"))
    await sales.act("opportunities", deal, "lose", competitor_id=babbage["id"])
    assert (await figures(sales, babbage))["win_rate"] == 0
    await sales.act("opportunities", deal, "reopen")
    assert (await figures(sales, babbage))["win_rate"] is None
    await sales.act("opportunities", deal, "win")
    found = await figures(sales, babbage)
    assert (found["won_count"], found["lost_count"], found["win_rate"]) == (1, 0, 100)


async def test_figures_count_only_what_the_caller_may_read(
    sales: Sales, sales_for: Callable[[Principal], Sales], people: People
) -> None:
    babbage = await rival(sales)
    me = await people.user("Ada")
    seller = sales_for(principal(id=me, opportunity=Depth.USER))
    await sales.make("opportunities", name="Theirs", competitor_ids=[babbage["id"]])
    await seller.make("opportunities", name="Mine", competitor_ids=[babbage["id"]])
    assert (await figures(sales, babbage))["deals"] == 2
    assert (await figures(seller, babbage))["deals"] == 1
    blind = sales_for(principal(opportunity=Depth.NONE))
    assert (await blind.client.get(f"{API}/competitors/{babbage['id']}/figures")).status == 403
    stranger = sales_for(principal(competitor=Depth.USER))
    assert (await stranger.client.get(f"{API}/competitors/{babbage['id']}/figures")).status == 404
    answer = await stranger.try_make("opportunities", name="Fleet", competitor_ids=[babbage["id"]])
    assert (answer.status, answer.problem) == (422, "unknown-reference")


async def test_figures_have_a_weak_etag_and_take_two_statements(sales: Sales, runtime: Runtime) -> None:
    babbage = await rival(sales)
    path = f"{API}/competitors/{babbage['id']}/figures"
    with counted(runtime.db) as statements:
        first = await sales.client.get(path)
    assert len(statements) == 2, statements
    etag = first.headers["etag"]
    assert etag.startswith('W/"')
    assert (await sales.client.get(path, headers={"if-none-match": etag})).status == 304
    await sales.make("opportunities", name="Fleet", competitor_ids=[babbage["id"]])
    assert (await sales.client.get(path, headers={"if-none-match": etag})).status == 200


async def test_competitors_cost_a_deal_without_any_no_statement(sales: Sales, runtime: Runtime) -> None:
    await sales.make("opportunities", name="Fleet")
    babbage = await rival(sales)
    with counted(runtime.db) as statements:
        await sales.make("opportunities", name="Fleet")
    without = len(statements)
    with counted(runtime.db) as statements:
        await sales.make("opportunities", name="Fleet", competitor_ids=[babbage["id"]])
    # One look-up, and the transaction that its lock needs.
    assert len(statements) == without + 3, statements


@given(COUNTS, COUNTS)
def test_a_win_rate_is_a_percentage_of_what_is_decided(won: int, lost: int) -> None:
    rate = win_rate(won, lost)
    if rate is None:
        assert won == lost == 0
        return
    assert 0 <= rate <= 100
    assert abs(rate * (won + lost) - 100 * won) <= Decimal("0.005") * (won + lost)


def test_a_deal_names_fifty_competitors_at_most() -> None:
    named = [UUID(int=n) for n in range(MAX_COMPETITORS)]
    assert with_competitor(named, named[7]) == named
    assert with_competitor(named[:-1], named[-1]) == named
    with pytest.raises(InvalidValue, match="too-many-competitors"):
        with_competitor(named, UUID(int=99))
    require_kept(named, [str(named[0]), None])
    with pytest.raises(InvalidValue, match="competitor-kept"):
        require_kept(named, [str(UUID(int=99))])
