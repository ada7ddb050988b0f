"""Stages, exchange rates and settings: they belong to the organisation and have no owner."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import principal

from .journey import API, Sales, euros

NEGOTIATE = {"name": "negotiate", "position": 4, "probability": 75.5}
DOLLAR = {"currency": "USD", "rate": "0.9183", "valid_from": "2026-01-01"}
MADE = [("sales-stages", NEGOTIATE), ("exchange-rates", DOLLAR)]


async def test_an_organisation_starts_with_four_stages_in_order(sales: Sales) -> None:
    stages = await sales.page("sales-stages")
    assert [(stage["name"], stage["probability"]) for stage in stages] == [
        ("qualify", 10),
        ("develop", 30),
        ("propose", 60),
        ("close", 90),
    ]


@pytest.mark.parametrize(("collection", "fields"), MADE)
async def test_reference_data_is_made_read_changed_and_deleted(
    sales: Sales, collection: str, fields: dict[str, object]
) -> None:
    record = await sales.make(collection, **fields)
    assert {name: record[name] for name in fields} == fields
    assert await sales.get(collection, record["id"]) == record
    assert (await sales.patch(collection, record, **fields))["version"] == 1
    changed = await sales.patch(collection, record, **dict([list(fields.items())[1]]))
    assert changed["version"] == 1
    assert (await sales.delete(collection, record)).status == 204
    entity = collection[:-1].replace("-", "_")
    assert await sales.facts() == [f"{entity}.created", f"{entity}.deleted"]
    history = await sales.page(f"{collection}/{record['id']}/history")
    assert [item["fact"] for item in history] == ["deleted", "created"]


@pytest.mark.parametrize(("collection", "fields"), MADE)
async def test_reference_data_is_unique(sales: Sales, collection: str, fields: dict[str, object]) -> None:
    await sales.make(collection, **fields)
    answer = await sales.try_make(collection, **fields)
    assert (answer.status, answer.problem) == (409, "already-exists")


@pytest.mark.parametrize(("collection", "fields"), MADE)
async def test_only_the_whole_organisation_is_reach_enough(
    sales: Sales, sales_for: Callable[[Principal], Sales], collection: str, fields: dict[str, object]
) -> None:
    record = await sales.make(collection, **fields)
    branch = sales_for(principal(Depth.DEEP))
    assert (await branch.try_make(collection, **fields)).status == 403
    assert (await branch.client.get(f"{API}/{collection}/{record['id']}")).status == 404
    assert await branch.page(collection) == []
    reader = sales_for(principal(Depth.NONE, sales_stage="04000", exchange_rate="04000"))
    assert (await reader.get(collection, record["id"])) == record
    assert (await reader.try_patch(collection, record, **fields)).status == 403
    assert (await reader.delete(collection, record)).status == 403


async def test_a_stage_with_deals_in_it_stays(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Fleet")
    answer = await sales.delete("sales-stages", {"id": deal["stage_id"]})
    assert (answer.status, answer.problem) == (409, "in-use")
    assert answer.json["references"] == [{"type": "opportunity", "id": deal["id"], "name": "Fleet"}]


async def test_a_deal_keeps_the_name_its_stage_had_when_it_entered(sales: Sales) -> None:
    deal = await sales.make("opportunities", name="Fleet")
    renamed = await sales.patch("sales-stages", {"id": deal["stage_id"]}, name="first look", probability=15)
    assert (renamed["name"], renamed["version"]) == ("first look", 2)
    now = await sales.get("opportunities", deal["id"])
    assert (now["stage"], now["probability"], now["version"]) == ("qualify", 10, 1)
    newer = await sales.make("opportunities", name="Other")
    assert (newer["stage"], newer["probability"]) == ("first look", 15)
    both = await sales.page("opportunities", f"stage_id={deal['stage_id']}")
    assert {found["id"] for found in both} == {deal["id"], newer["id"]}


async def test_without_any_stage_no_deal_can_start(sales: Sales) -> None:
    for stage in await sales.page("sales-stages"):
        assert (await sales.delete("sales-stages", stage)).status == 204
    answer = await sales.try_make("opportunities", name="Fleet")
    assert (answer.status, answer.problem) == (422, "no-sales-stage")


@pytest.mark.parametrize("probability", [-1, 100.5, "50", True, 12.345])
async def test_a_probability_is_a_percentage(sales: Sales, probability: object) -> None:
    assert (await sales.try_make("sales-stages", **(NEGOTIATE | {"probability": probability}))).status == 422


@pytest.mark.parametrize("rate", ["0", "-1", 0.9183, "0.12345678901", "abc"])
async def test_a_rate_is_exact_and_above_zero(sales: Sales, rate: object) -> None:
    assert (await sales.try_make("exchange-rates", **(DOLLAR | {"rate": rate}))).status == 422


async def test_the_base_currency_has_no_rate(sales: Sales) -> None:
    answer = await sales.try_make("exchange-rates", **(DOLLAR | {"currency": "EUR"}))
    assert (answer.status, answer.problem) == (422, "base-currency")
    rate = await sales.make("exchange-rates", **DOLLAR)
    answer = await sales.try_patch("exchange-rates", rate, currency="EUR")
    assert (answer.status, answer.problem) == (422, "base-currency")


async def test_the_rate_in_force_is_the_latest_whose_day_has_come(sales: Sales) -> None:
    tomorrow = (clock.now() + timedelta(days=2)).date().isoformat()
    for rate, day in (("0.5", "2020-01-01"), ("0.8", "2021-01-01"), ("0.9", tomorrow)):
        await sales.make("exchange-rates", currency="USD", rate=rate, valid_from=day)
    dollars = {"amount": "100.00", "currency": "USD"}
    deal = await sales.make("opportunities", name="Export", estimated_value=dollars)
    assert (deal["exchange_rate"], deal["estimated_value_base"]) == ("0.8", euros("80.00"))


async def test_settings_are_one_record_with_versions_and_history(sales: Sales) -> None:
    before = await sales.client.get(f"{API}/settings/sales")
    assert (before.status, before.json["customer_creation"], before.etag) == (200, "on_qualify", '"1"')
    answer = await sales.client.patch(f"{API}/settings/sales", {"customer_creation": "on_win"}, etag=None)
    assert (answer.status, answer.problem) == (428, "if-match-required")
    after = await sales.client.patch(f"{API}/settings/sales", {"customer_creation": "on_win"}, etag=before.etag)
    assert (after.status, after.json["customer_creation"], after.etag) == (200, "on_win", '"2"')
    stale = await sales.client.patch(f"{API}/settings/sales", {"customer_creation": "on_qualify"}, etag=before.etag)
    assert (stale.status, stale.problem) == (412, "stale")
    assert await sales.facts() == ["sales_settings.updated"]
    history = await sales.page("settings/sales/history")
    assert [item["fact"] for item in history] == ["updated", "created"]


async def test_settings_know_two_moments_to_make_customers(sales: Sales) -> None:
    for value in ("on_monday", None, 1):
        answer = await sales.client.patch(f"{API}/settings/sales", {"customer_creation": value})
        assert answer.status == 422


async def test_settings_are_changed_by_those_who_may(sales_for: Callable[[Principal], Sales]) -> None:
    reader = sales_for(principal(Depth.NONE, sales_settings="04000"))
    assert (await reader.client.get(f"{API}/settings/sales")).status == 200
    answer = await reader.client.patch(f"{API}/settings/sales", {"customer_creation": "on_win"})
    assert answer.status == 403
    seller = sales_for(principal(Depth.NONE))
    assert (await seller.client.get(f"{API}/settings/sales")).status == 403
