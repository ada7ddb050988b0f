"""Campaigns over HTTP: shapes, statuses, problems, conditions, access, lists, statement counts."""

from collections.abc import Callable
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, counted, principal
from crm_marketing.campaign.domain import LIFECYCLE

CAMPAIGNS = "/api/v1/campaigns"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
FULL = {
    "name": "Gold card, spring",
    "code": "GOLD-1",
    "type": "direct_marketing",
    "channels": ["email", "newspaper", "video"],
    "objective": "200 cards",
    "offer": "First year free",
    "proposed_start": "2026-12-01",
    "proposed_end": "2026-12-31",
    "budget": {"amount": "20000.00", "currency": "EUR"},
    "other_cost": {"amount": "4000.00", "currency": "EUR"},
    "expected_response": 2.5,
    "expected_revenue": {"amount": "60000.00", "currency": "EUR"},
    "is_template": False,
    "description": "Ages 25 to 35",
}


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def made(client: Client, **fields: Any) -> dict[str, Any]:
    answer = await client.post(CAMPAIGNS, {"name": "Gold card, spring", **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def test_a_created_campaign_can_be_read_where_it_says(client: Client, people: Any) -> None:
    await people.user("Grace Hopper", id=ME)
    answer = await client.post(CAMPAIGNS, FULL)
    campaign = answer.json
    assert (answer.status, answer.etag) == (201, '"1"')
    assert answer.headers["crm-version"] == f"campaign/{campaign['id']}@1"
    assert {name: campaign[name] for name in FULL} == FULL
    assert (campaign["status"], campaign["status_reason"], campaign["owner_name"]) == (
        "proposed",
        "proposed",
        "Grace Hopper",
    )
    assert (campaign["actual_start"], campaign["actual_end"]) == (None, None)
    assert campaign["allowed_actions"] == ["ready", "cancel", "assign"]
    read = await client.get(answer.headers["location"])
    assert (read.status, read.json) == (200, campaign)


async def test_a_campaign_needs_only_its_name(client: Client) -> None:
    campaign = await made(client, code=" ", channels=["phone", "phone", "web"])
    assert (campaign["code"], campaign["channels"], campaign["is_template"]) == (None, ["phone", "web"], False)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/name", "missing"),
        ({"name": " "}, "/name", None),
        ({"name": "x", "status": "launched"}, "/status", "read-only-field"),
        ({"name": "x", "owner_id": str(ME)}, "/owner_id", "read-only-field"),
        ({"name": "x", "actual_start": "2026-12-01"}, "/actual_start", "read-only-field"),
        ({"name": "x", "figures": {}}, "/figures", "unknown-field"),
        ({"name": "x", "type": "stunt"}, "/type", "enum"),
        ({"name": "x", "channels": ["smoke"]}, "/channels/0", "enum"),
        ({"name": "x", "channels": None}, "/channels", None),
        ({"name": "x", "is_template": "yes"}, "/is_template", None),
        ({"name": "x", "expected_response": 101}, "/expected_response", "percent"),
        ({"name": "x", "proposed_start": "2026-02-30"}, "/proposed_start", "date"),
        (
            {"name": "x", "proposed_start": "2026-12-02", "proposed_end": "2026-12-01"},
            "/proposed_end",
            "end-before-start",
        ),
        ({"name": "x", "budget": {"amount": "1.00", "currency": "USD"}}, "/budget/currency", "currency-mismatch"),
        (
            {"name": "x", "other_cost": {"amount": "1.00", "currency": "USD"}},
            "/other_cost/currency",
            "currency-mismatch",
        ),
        (
            {"name": "x", "expected_revenue": {"amount": "1", "currency": "JPY"}},
            "/expected_revenue/currency",
            "currency-mismatch",
        ),
        ({"name": "x", "budget": {"amount": "-1.00", "currency": "EUR"}}, "/budget", "money-negative"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_told_where(
    client: Client, body: Any, pointer: str, code: str | None
) -> None:
    answer = await client.post(CAMPAIGNS, body)
    assert answer.status == 422
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code


async def test_amounts_are_in_whatever_the_base_currency_is(client: Client, people: Any) -> None:
    await people.organization(base_currency="JPY")
    refused = await client.post(CAMPAIGNS, {"name": "x", "budget": {"amount": "5.00", "currency": "EUR"}})
    assert (refused.status, "JPY" in refused.json["detail"]) == (422, True)
    campaign = await made(client, other_cost={"amount": "500", "currency": "JPY"})
    found = (await client.get(f"{CAMPAIGNS}/{campaign['id']}/figures")).json
    assert (found["cost"], found["won_revenue"]) == (
        {"amount": "500", "currency": "JPY"},
        {"amount": "0", "currency": "JPY"},
    )


async def test_a_stale_edit_is_refused_and_a_missing_condition_too(client: Client) -> None:
    path = f"{CAMPAIGNS}/{(await made(client))['id']}"
    changed = await client.patch(path, {"code": "a", "budget": {"amount": "5.00", "currency": "EUR"}}, etag='"1"')
    assert (changed.etag, changed.json["budget"]["amount"]) == ('"2"', "5.00")
    assert (await client.patch(path, {"code": "b"}, etag='"1"')).status == 412
    assert (await client.patch(path, {"code": "b"}, etag=None)).status == 428
    assert (await client.patch(path, {"budget": None}, etag='"2"')).json["budget"] is None
    mismatched = await client.patch(path, {"budget": {"amount": "5.00", "currency": "CHF"}})
    assert (mismatched.status, mismatched.problem) == (422, "currency-mismatch")
    assert (await client.delete(path, etag='"2"')).status == 412
    assert (await client.delete(path, etag='"3"')).status == 204
    assert (await client.get(path)).status == 404


async def test_a_key_makes_one_campaign_and_one_copy(client: Client) -> None:
    headers = {"idempotency-key": "once"}
    first = await client.post(CAMPAIGNS, {"name": "x"}, headers=headers)
    again = await client.post(CAMPAIGNS, {"name": "x"}, headers=headers)
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (201, first.body, "true")
    assert (await client.post(CAMPAIGNS, {"name": "y"}, headers=headers)).status == 422
    path = f"{CAMPAIGNS}/{first.json['id']}/copy"
    copies = [await client.post(path, headers=headers) for _ in range(2)]
    assert copies[0].body == copies[1].body
    assert (await client.get(f"{CAMPAIGNS}?count=exact")).json["count"] == 2


WAYS: dict[str, list[str]] = {
    "proposed": [],
    "ready": ["ready"],
    "launched": ["ready", "launch"],
    "suspended": ["ready", "launch", "suspend"],
    "completed": ["ready", "launch", "complete"],
    "canceled": ["cancel"],
}


@pytest.mark.parametrize(
    ("status", "command", "is_template"),
    [(status, command, False) for status, command in product(WAYS, LIFECYCLE.moves)]
    + [(status, command, True) for status, command in product(("proposed", "ready", "canceled"), LIFECYCLE.moves)],
)
async def test_allowed_actions_tell_the_truth(client: Client, status: str, command: str, is_template: bool) -> None:
    campaign = await made(client, is_template=is_template)
    for step in WAYS[status]:
        campaign = (await client.post(f"{CAMPAIGNS}/{campaign['id']}/{step}")).json
    assert campaign["status"] == status
    answer = await client.post(f"{CAMPAIGNS}/{campaign['id']}/{command}")
    if command in campaign["allowed_actions"]:
        assert (answer.status, answer.json["version"]) == (200, campaign["version"] + 1)
        assert answer.headers["crm-version"] == f"campaign/{campaign['id']}@{answer.json['version']}"
    else:
        assert (answer.status, answer.problem) == (409, "illegal-transition")
        assert (answer.json["record_status"], answer.json["status_reason"]) == (status, status)
        assert [*answer.json["allowed"], "assign"] == campaign["allowed_actions"]


async def test_a_copy_is_a_new_campaign_of_who_made_it(
    client: Client, client_for: Callable[[Principal | None], Client]
) -> None:
    original = await made(client, **FULL)
    other = client_for(principal())
    answer = await other.post(f"{CAMPAIGNS}/{original['id']}/copy")
    copy = answer.json
    assert (answer.status, answer.etag, answer.headers["location"]) == (201, '"1"', f"{CAMPAIGNS}/{copy['id']}")
    assert (copy["name"], copy["code"], copy["status"]) == ("Copy of Gold card, spring", None, "proposed")
    assert copy["owner_id"] != original["owner_id"]
    kept = FULL.keys() - {"name", "code"}
    assert {name: copy[name] for name in kept} == {name: FULL[name] for name in kept}
    assert (await client.get(f"{CAMPAIGNS}/{original['id']}")).etag == '"1"'
    named = await client.post(f"{CAMPAIGNS}/{original['id']}/copy", {"name": "Autumn", "is_template": True})
    assert (named.json["name"], named.json["is_template"]) == ("Autumn", True)
    stale = await client.post(f"{CAMPAIGNS}/{original['id']}/copy", headers={"if-match": '"7"'})
    assert stale.status == 412


async def test_assigning_moves_owner_and_unit(client: Client, people: Any) -> None:
    unit = await people.unit("Cards")
    grace = await people.user("Grace Hopper", unit=unit)
    campaign = await made(client)
    path = f"{CAMPAIGNS}/{campaign['id']}/assign"
    answer = await client.post(path, {"owner_type": "user", "owner_id": str(grace)})
    assert (answer.status, answer.json["owner_name"], answer.json["business_unit_id"]) == (
        200,
        "Grace Hopper",
        str(unit),
    )
    unknown = await client.post(path, {"owner_type": "user", "owner_id": str(uuid4())})
    assert (unknown.status, unknown.problem) == (422, "unknown-reference")


async def test_the_history_says_who_changed_what(client: Client) -> None:
    campaign = await made(client)
    await client.patch(f"{CAMPAIGNS}/{campaign['id']}", {"other_cost": {"amount": "5.00", "currency": "EUR"}})
    await client.post(f"{CAMPAIGNS}/{campaign['id']}/ready")
    entries = (await client.get(f"{CAMPAIGNS}/{campaign['id']}/history")).json["items"]
    assert [entry["fact"] for entry in entries] == ["readied", "updated", "created"]
    assert entries[1]["changes"]["other_cost"]["new"] == {"amount": "5.00", "currency": "EUR"}


async def test_lists_filter_search_and_sort(client: Client) -> None:
    for name, start, budget in (("Autumn", "2026-09-01", "10"), ("Spring", None, "30"), ("Winter", "2026-12-01", "20")):
        await made(
            client, name=name, code=f"C-{name}", proposed_start=start, budget={"amount": budget, "currency": "EUR"}
        )
    template = await made(client, name="Pattern", is_template=True)
    await client.post(f"{CAMPAIGNS}/{template['id']}/cancel")

    async def names(query: str) -> list[str]:
        answer = await client.get(f"{CAMPAIGNS}?{query}")
        assert answer.status == 200, answer.body
        return [item["name"] for item in answer.json["items"]]

    assert await names("is_template=false&sort=name") == ["Autumn", "Spring", "Winter"]
    assert await names("sort=-proposed_start&is_template=false") == ["Winter", "Autumn", "Spring"]
    assert await names("budget.amount[gte]=20&sort=name") == ["Spring", "Winter"]
    assert await names("status=canceled") == ["Pattern"]
    assert await names("q=c-wint") == ["Winter"]
    page = (await client.get(f"{CAMPAIGNS}?sort=proposed_start&limit=2&fields=name")).json
    rest = await client.get(f"{CAMPAIGNS}?sort=proposed_start&limit=2&fields=name&after={page['next']}")
    assert [item["name"] for item in rest.json["items"]] == ["Autumn", "Winter"]
    asked = await client.post(
        f"{CAMPAIGNS}/query",
        {
            "filter": {
                "any": [
                    {"field": "code", "op": "eq", "value": "C-Spring"},
                    {"field": "status", "op": "eq", "value": "canceled"},
                ]
            }
        },
    )
    assert {item["name"] for item in asked.json["items"]} == {"Spring", "Pattern"}
    assert (await client.get(f"{CAMPAIGNS}?colour=red")).status == 400
    assert (await client.get(f"{CAMPAIGNS}?status=open")).status == 400


GETS = ["", "/history", "/figures"]
COMMANDS = ["ready", "launch", "suspend", "resume", "complete", "cancel", "copy"]


async def test_what_one_may_not_see_does_not_exist(
    client: Client, client_for: Callable[[Principal | None], Client]
) -> None:
    path = f"{CAMPAIGNS}/{(await made(client))['id']}"
    stranger = client_for(principal(Depth.USER))
    for part in GETS:
        assert (await stranger.get(path + part)).status == 404, part
    for command in COMMANDS:
        assert (await stranger.post(f"{path}/{command}")).status == 404, command
    assert (await stranger.patch(path, {"name": "x"})).status == 404
    assert (await stranger.delete(path)).status == 404
    assert (await stranger.get(CAMPAIGNS)).json["items"] == []


async def test_what_one_may_only_read_cannot_be_changed(
    client: Client, client_for: Callable[[Principal | None], Client]
) -> None:
    path = f"{CAMPAIGNS}/{(await made(client))['id']}"
    reader = client_for(principal(campaign="04000"))
    assert (await reader.get(path)).json["allowed_actions"] == []
    for command in COMMANDS:
        assert (await reader.post(f"{path}/{command}")).status == 403, command
    assert (await reader.patch(path, {"name": "x"})).status == 403
    assert (await reader.delete(path)).status == 403
    copier = client_for(principal(campaign="14000"))
    assert (await copier.post(f"{path}/copy")).status == 201


async def test_statements_are_few(client: Client, runtime: Runtime) -> None:
    campaign = await made(client)
    path = f"{CAMPAIGNS}/{campaign['id']}"
    for most, method, asked, body in (
        (1, "POST", CAMPAIGNS, {"name": "x"}),
        (1, "GET", path, None),
        (1, "GET", CAMPAIGNS, None),
        (4, "POST", f"{path}/ready", None),
        (4, "POST", f"{path}/copy", None),
    ):
        with counted(runtime.db) as statements:
            assert (await client.request(method, asked, json=body)).status in (200, 201)
        assert len(statements) <= most, statements
