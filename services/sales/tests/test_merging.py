"""Merging: access, the values that the survivor takes over, moved references, and the merged record."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, get_args
from uuid import UUID

import pytest
from fastapi import FastAPI

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.records.snapshots import snapshot_sources
from crm_kit.store.record import new_id
from crm_kit.testing import principal
from crm_sales.account.schemas import AccountMergeField, AccountUpdate
from crm_sales.contact.schemas import ContactMergeField, ContactUpdate
from crm_sales.lead.schemas import LeadMergeField, LeadUpdate
from crm_sales.opt_outs import OPT_OUTS
from crm_sales.tables import ENTITIES

from .journey import ADA, API, Json, Sales, euros

MAKE: dict[str, Json] = {"leads": ADA, "accounts": {"name": "Engines"}, "contacts": {"last_name": "Lovelace"}}
COLLECTIONS = list(MAKE)


async def two(
    sales: Sales, collection: str, loser: Json | None = None, survivor: Json | None = None
) -> tuple[Json, Json]:
    return (
        await sales.make(collection, **MAKE[collection] | (loser or {})),
        await sales.make(collection, **MAKE[collection] | (survivor or {})),
    )


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_a_merged_record_answers_410_and_names_its_survivor(sales: Sales, collection: str) -> None:
    loser, survivor = await two(sales, collection)
    assert (await sales.merge(collection, loser, survivor))["id"] == survivor["id"]
    href = f"{API}/{collection}/{survivor['id']}"
    for answer in (
        await sales.client.get(f"{API}/{collection}/{loser['id']}"),
        await sales.try_patch(collection, loser, email="new@example.org"),
        await sales.delete(collection, loser),
        await sales.try_act(collection, loser, "assign", owner_type="user", owner_id=str(new_id())),
        await sales.try_merge(collection, loser, survivor),
    ):
        assert (answer.status, answer.problem) == (410, "merged")
        assert answer.json["survivor"] == {"type": collection[:-1], "id": survivor["id"], "href": href}
        assert answer.headers["link"] == f'<{href}>; rel="successor-version"'


def test_the_document_says_of_which_records_an_answer_may_be_410(app: FastAPI) -> None:
    for path, operations in app.openapi()["paths"].items():
        about_one = any(path.startswith(f"{API}/{collection}/{{") for collection in (*COLLECTIONS, "opportunities"))
        assert {"410" in operation["responses"] for operation in operations.values()} == {about_one}, path


async def test_of_a_chain_of_merges_the_last_survivor_is_named(sales: Sales) -> None:
    first, second = await two(sales, "accounts")
    third, last = await two(sales, "accounts")
    await sales.merge("accounts", first, second)
    await sales.merge("accounts", second, third)
    await sales.merge("accounts", third, last)
    answer = await sales.client.get(f"{API}/accounts/{first['id']}")
    assert answer.json["survivor"]["id"] == last["id"]


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_lists_counts_and_searches_leave_a_merged_record_out(sales: Sales, collection: str) -> None:
    loser, survivor = await two(sales, collection)
    await sales.merge(collection, loser, survivor)
    for query in ("", "count=exact", f"q={'Lovelace' if collection != 'accounts' else 'Engines'}", f"id={loser['id']}"):
        answer = await sales.client.get(f"{API}/{collection}?{query}")
        found = [record["id"] for record in answer.json["items"]]
        assert found == ([] if query.startswith("id=") else [survivor["id"]])
        assert answer.json.get("count", 1) == 1


async def test_a_merged_record_is_no_duplicate_of_anybody(sales: Sales) -> None:
    gone, survivor = await two(sales, "contacts", {"email": "ada@example.org"}, {"last_name": "Babbage"})
    await sales.merge("contacts", gone, survivor)
    lead = await sales.make("leads", topic="Card", last_name="Byron", email="ada@example.org")
    assert (await sales.act("leads", lead, "qualify"))["status"] == "qualified"
    twin = await sales.make("contacts", last_name="Ada", email="ada@example.org")
    await sales.merge("contacts", twin, survivor)
    scan = await sales.client.get(f"{API}/contacts/duplicates")
    assert (scan.json["items"], scan.json["scanned"]) == ([], 2)


async def test_a_reference_to_a_merged_record_is_refused_and_names_the_survivor_to_who_may_read_it(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    loser, survivor = await two(sales, "accounts")
    await sales.merge("accounts", loser, survivor)
    answer = await sales.try_make("contacts", last_name="Byron", account_id=loser["id"])
    assert (answer.status, answer.problem) == (422, "merged-reference")
    assert answer.json["errors"][0]["pointer"] == "/account_id"
    assert answer.json["survivor"]["id"] == survivor["id"]
    stranger = sales_for(principal(Depth.USER))
    answer = await stranger.try_make("contacts", last_name="Byron", account_id=loser["id"])
    assert (answer.status, answer.problem) == (422, "unknown-reference")
    theirs = await stranger.make("accounts", name="Theirs")
    await sales.merge("accounts", theirs, survivor)
    answer = await stranger.try_make("contacts", last_name="Byron", account_id=theirs["id"])
    assert (answer.status, answer.problem, "survivor" in answer.json) == (422, "merged-reference", False)


async def test_who_could_not_read_the_merged_record_still_finds_nothing(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    loser, survivor = await two(sales, "leads")
    await sales.merge("leads", loser, survivor)
    answer = await sales_for(principal(Depth.USER)).client.get(f"{API}/leads/{loser['id']}")
    assert (answer.status, answer.problem) == (404, "not-found")


async def test_the_history_of_a_merged_record_stays_readable_at_organisation_depth(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    seller = sales_for(principal(Depth.USER))
    loser, survivor = await two(seller, "leads")
    await seller.merge("leads", loser, survivor)
    found = await sales.client.get(f"{API}/leads/{loser['id']}/history")
    assert [item["fact"] for item in found.json["items"]] == ["merged", "created"]
    assert found.json["items"][0]["changes"]["survivor_id"] == {"old": None, "new": survivor["id"]}
    assert (await seller.client.get(f"{API}/leads/{loser['id']}/history")).status == 410


async def test_a_snapshot_tells_a_joiner_what_became_of_a_merged_record(sales: Sales, runtime: Runtime) -> None:
    loser, survivor = await two(sales, "contacts")
    await sales.merge("contacts", loser, survivor)
    async with runtime.db.autocommit() as conn:
        rows = await snapshot_sources(runtime, ENTITIES)["contact"](conn, None, 10)
    assert {str(row.id): dict(row.facts) for row in rows} == {
        loser["id"]: {"survivor_id": UUID(survivor["id"])},
        survivor["id"]: {},
    }


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_a_merge_is_told_once_by_the_loser_and_by_the_survivor_only_when_it_changed(
    sales: Sales, collection: str
) -> None:
    loser, survivor = await two(sales, collection, {"email": "new@example.org"}, {"email": "old@example.org"})
    before = len(await sales.events())
    kept = await sales.merge(collection, loser, survivor)
    [merged] = (await sales.events())[before:]
    assert merged["type"] == f"crm.sales.{collection[:-1]}.merged.v1"
    assert (merged["subject"], merged["data"]["survivor_id"]) == (loser["id"], survivor["id"])
    assert (merged["entityversion"], kept["version"]) == (2, 1)
    loser = await sales.make(collection, **MAKE[collection] | {"email": "new@example.org"})
    kept = await sales.merge(collection, loser, survivor, fields=["email"])
    assert (kept["email"], kept["version"]) == ("new@example.org", 2)
    facts = await sales.facts(after=before + 2)
    assert facts == [f"{collection[:-1]}.merged", f"{collection[:-1]}.updated"]


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_a_survivor_must_be_another_known_record_that_goes_on(sales: Sales, collection: str) -> None:
    loser, survivor = await two(sales, collection)
    other = await sales.make(collection, **MAKE[collection])
    await sales.merge(collection, other, survivor)
    for into, problem in (
        (loser["id"], "merge-with-itself"),
        (str(new_id()), "unknown-reference"),
        (other["id"], "merged-reference"),
    ):
        answer = await sales.try_act(collection, loser, "merge", into=into)
        assert (answer.status, answer.problem) == (422, problem)
        assert answer.json["errors"][0]["pointer"] == "/into"
    assert (await sales.try_act(collection, {"id": new_id()}, "merge", into=survivor["id"])).status == 404


@pytest.mark.parametrize("collection", ["accounts", "contacts"])
async def test_neither_side_may_be_inactive(sales: Sales, collection: str) -> None:
    inactive, active = await two(sales, collection)
    inactive = await sales.act(collection, inactive, "deactivate")
    assert "merge" not in inactive["allowed_actions"]
    answer = await sales.try_merge(collection, inactive, active)
    assert (answer.status, answer.problem, answer.json["allowed"]) == (409, "illegal-transition", ["activate"])
    answer = await sales.try_merge(collection, active, inactive)
    assert (answer.status, answer.problem) == (422, "inactive-reference")


async def test_open_leads_merge_into_open_and_qualified_ones(sales: Sales) -> None:
    qualified, lost = await two(sales, "leads")
    qualified = await sales.act("leads", qualified, "qualify")
    await sales.act("leads", lost, "disqualify")
    for closed in (qualified, lost):
        answer = await sales.try_merge("leads", closed, await sales.make("leads", **ADA))
        assert (answer.status, answer.problem) == (409, "illegal-transition")
    answer = await sales.try_merge("leads", await sales.make("leads", **ADA), lost)
    assert (answer.status, answer.problem) == (422, "inactive-reference")
    kept = await sales.merge("leads", await sales.make("leads", **ADA), qualified)
    assert kept["version"] == qualified["version"]
    answer = await sales.try_merge("leads", await sales.make("leads", **ADA), qualified, fields=["email"])
    assert (answer.status, answer.problem) == (422, "read-only-record")


@pytest.mark.parametrize(
    ("loser_is_mine", "on_mine", "on_others", "status"),
    [
        (True, "rwd", "rw", 200),
        (True, "rw", "rw", 403),
        (True, "rwd", "r", 403),
        (True, "rwd", "", 422),
        (False, "rwd", "", 404),
        (False, "rwd", "rw", 403),
    ],
)
async def test_it_takes_write_and_delete_on_the_loser_and_write_on_the_survivor(
    sales: Sales,
    sales_for: Callable[[Principal], Sales],
    loser_is_mine: bool,
    on_mine: str,
    on_others: str,
    status: int,
) -> None:
    me = principal(Depth.USER)
    depths = [
        Depth.ORGANIZATION if right in on_others else Depth.USER if right in on_mine else Depth.NONE
        for right in "crwda"
    ]
    held = {"lead": "".join(str(int(depth)) for depth in depths)}
    mine, theirs = await sales_for(me).make("leads", **ADA), await sales.make("leads", **ADA)
    loser, survivor = (mine, theirs) if loser_is_mine else (theirs, mine)
    asked = sales_for(principal(id=me.id, unit=me.unit, privileges=held))
    answer = await asked.try_merge("leads", loser, survivor)
    assert answer.status == status, answer.body


async def test_if_match_speaks_of_the_loser(sales: Sales) -> None:
    loser, survivor = await two(sales, "leads")
    path, body = f"{API}/leads/{loser['id']}/merge", {"into": survivor["id"]}
    assert (await sales.client.request("POST", path, json=body, headers={"if-match": '"7"'})).status == 412
    assert (await sales.client.request("POST", path, json=body, headers={"if-match": '"1"'})).status == 200


async def test_a_merge_that_is_sent_again_under_its_key_is_answered_again(sales: Sales) -> None:
    loser, survivor = await two(sales, "leads")
    path, body = f"{API}/leads/{loser['id']}/merge", {"into": survivor["id"]}
    first, second = [
        await sales.client.request("POST", path, json=body, headers={"idempotency-key": "merge-1"}) for _ in range(2)
    ]
    assert (first.status, second.status, second.headers["idempotent-replayed"]) == (200, 200, "true")
    assert first.json == second.json
    assert (await sales.facts()).count("lead.merged") == 1


async def test_twenty_merges_of_one_record_are_one_merge(sales: Sales) -> None:
    loser, survivor = await two(sales, "contacts")
    other = await sales.make("contacts", **MAKE["contacts"])
    answers = await asyncio.gather(*(sales.try_merge("contacts", loser, (survivor, other)[n % 2]) for n in range(20)))
    assert Counter(answer.status for answer in answers) == {200: 1, 410: 19}
    assert (await sales.facts()).count("contact.merged") == 1


async def test_two_records_merged_into_each_other_at_once_leave_one(sales: Sales) -> None:
    for _ in range(5):
        left, right = await two(sales, "accounts")
        answers = await asyncio.gather(
            sales.try_merge("accounts", left, right), sales.try_merge("accounts", right, left)
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 422: 1}
        assert {answer.problem for answer in answers if answer.status == 422} == {"merged-reference"}


@pytest.mark.parametrize(
    ("collection", "allowed", "update", "never"),
    [
        ("leads", LeadMergeField, LeadUpdate, {*OPT_OUTS}),
        ("accounts", AccountMergeField, AccountUpdate, {"number"}),
        ("contacts", ContactMergeField, ContactUpdate, {*OPT_OUTS}),
    ],
)
async def test_what_may_be_edited_may_be_taken_over_and_nothing_else(
    sales: Sales, collection: str, allowed: Any, update: Any, never: set[str]
) -> None:
    assert set(get_args(allowed)) == set(update.model_fields) - never
    loser, survivor = await two(sales, collection)
    for field in ("owner_id", "nonsense", *never):
        answer = await sales.try_merge(collection, loser, survivor, fields=["email", field])
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/fields/1")


async def test_named_fields_are_taken_over_as_they_are_and_gaps_are_filled_when_asked(sales: Sales) -> None:
    loser, survivor = await two(
        sales,
        "contacts",
        {"email": "new@example.org", "job_title": "Countess", "do_not_email": True, "interests": ["sums"]},
        {"email": "old@example.org", "job_title": None, "description": "Ours", "birth_date": "1815-12-10"},
    )
    kept = await sales.merge("contacts", loser, survivor, fields=["email", "birth_date"], fill_empty=True)
    assert (kept["email"], kept["birth_date"]) == ("new@example.org", None)
    assert (kept["job_title"], kept["do_not_email"], kept["interests"]) == ("Countess", True, ["sums"])
    assert kept["description"] == "Ours"


@pytest.mark.parametrize(("last_name", "full_name"), [("lovelace", "Ada Lovelace"), ("Byron", "Lovelace")])
async def test_a_first_name_is_filled_in_only_beside_the_same_last_name(
    sales: Sales, last_name: str, full_name: str
) -> None:
    loser, survivor = await two(sales, "contacts", {"first_name": "Ada", "last_name": last_name})
    kept = await sales.merge("contacts", loser, survivor, fill_empty=True)
    assert kept["full_name"] == full_name


async def test_amounts_come_with_their_value_in_base_currency_and_never_in_another_currency(sales: Sales) -> None:
    await sales.make("exchange-rates", currency="USD", rate="0.5", valid_from="2020-01-01")
    dollars = {"amount": "10.00", "currency": "USD"}
    bare = {"estimated_value": None}
    loser, survivor = await two(sales, "leads", {"budget": dollars, **bare}, bare)
    kept = await sales.merge("leads", loser, survivor, fields=["budget"])
    assert (kept["budget"], kept["budget_base"], kept["exchange_rate"]) == (dollars, euros("5.00"), "0.5")
    loser = await sales.make("leads", **ADA, budget=euros("7.00"))
    answer = await sales.try_merge("leads", loser, kept, fields=["topic", "budget"])
    assert (answer.status, answer.problem) == (422, "currency-mismatch")
    assert answer.json["errors"][0]["pointer"] == "/fields/1"
    kept = await sales.merge("leads", loser, kept, fill_empty=True)
    assert (kept["budget"], kept["estimated_value"]) == (dollars, None)


async def test_a_lead_must_be_about_somebody_after_a_merge_too(sales: Sales) -> None:
    loser, survivor = await two(sales, "leads", {"last_name": None}, {"company_name": None})
    answer = await sales.try_merge("leads", loser, survivor, fields=["last_name"])
    assert (answer.status, answer.problem) == (422, "name-required")


async def test_a_survivor_inherits_what_a_lead_was_qualified_into_and_makes_nothing_twice(sales: Sales) -> None:
    loser, survivor = await two(sales, "leads")
    qualified = await sales.act("leads", loser, "qualify")
    await sales.act("leads", loser, "reopen")
    kept = await sales.merge("leads", loser, survivor)
    links = ("account_id", "contact_id", "opportunity_id")
    assert [kept[link] for link in links] == [qualified[link] for link in links]
    deal = await sales.get("opportunities", qualified["opportunity_id"])
    assert deal["originating_lead_id"] == survivor["id"]
    before = len(await sales.events())
    await sales.act("leads", survivor, "qualify")
    assert await sales.facts(after=before) == ["lead.qualified"]
    # The merged lead itself refers to nothing any more, so it does not prevent deletion.
    [merged] = [event for event in await sales.events() if event["type"] == "crm.sales.lead.merged.v1"]
    assert {merged["data"]["record"][link] for link in links} == {None}


@pytest.mark.parametrize("collection", ["contacts", "leads"])
async def test_an_opt_out_of_either_record_stands_after_a_merge(sales: Sales, collection: str) -> None:
    loser, survivor = await two(
        sales, collection, {"do_not_email": True, "do_not_phone": False}, {"do_not_email": False, "do_not_phone": True}
    )
    kept = await sales.merge(collection, loser, survivor)
    assert (kept["do_not_email"], kept["do_not_phone"], kept["do_not_post"]) == (True, True, False)
    assert (await sales.get(collection, survivor["id"]))["version"] == 2


async def test_an_opt_out_of_a_lead_reaches_the_contact_of_the_qualified_lead_that_it_is_merged_into(
    sales: Sales,
) -> None:
    loser, survivor = await two(sales, "leads", {"do_not_post": True})
    qualified = await sales.act("leads", survivor, "qualify")
    kept = await sales.merge("leads", loser, qualified)
    assert kept["do_not_post"] is True
    assert (await sales.get("contacts", qualified["contact_id"]))["do_not_post"] is True
