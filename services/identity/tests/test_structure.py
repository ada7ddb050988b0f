"""Business units, teams, security roles and the organisation."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_identity.business_unit.model import ROOT_ID
from crm_identity.security_role.domain import AUDITOR_ID
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client

from .conftest import NewUser, superseded

UNITS, TEAMS, ROLES = "/api/v1/business-units", "/api/v1/teams", "/api/v1/security-roles"
ORGANIZATION = "/api/v1/settings/organization"


async def unit(client: Client, name: str, parent: str = str(ROOT_ID)) -> str:
    answer = await client.post(UNITS, {"name": name, "parent_id": parent})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def test_units_make_a_tree_and_stay_one(client: Client) -> None:
    vienna = await unit(client, "Vienna")
    inner = await unit(client, "Inner city", vienna)
    assert (await client.patch(f"{UNITS}/{vienna}", {"name": "Wien"})).json["version"] == 2
    children = await client.get(f"{UNITS}?parent_id={vienna}")
    assert [child["id"] for child in children.json["items"]] == [inner]
    refusals = [
        (await client.patch(f"{UNITS}/{vienna}", {"parent_id": inner}), "cycle"),
        (await client.patch(f"{UNITS}/{vienna}", {"parent_id": vienna}), "cycle"),
        (await client.patch(f"{UNITS}/{vienna}", {"parent_id": None}), "root-unit"),
        (await client.patch(f"{UNITS}/{ROOT_ID}", {"parent_id": vienna}), "root-unit"),
        (await client.patch(f"{UNITS}/{vienna}", {"parent_id": str(uuid4())}), "unknown-reference"),
    ]
    assert [(answer.status, answer.problem) for answer, _ in refusals] == [(422, slug) for _, slug in refusals]
    assert (await client.patch(f"{UNITS}/{inner}", {"parent_id": str(ROOT_ID)})).status == 200


async def test_two_moves_at_once_cannot_make_a_cycle(client: Client) -> None:
    left, right = await unit(client, "Left"), await unit(client, "Right")
    answers = await asyncio.gather(
        client.patch(f"{UNITS}/{left}", {"parent_id": right}), client.patch(f"{UNITS}/{right}", {"parent_id": left})
    )
    assert sorted(answer.status for answer in answers) == [200, 422]


async def test_a_unit_in_use_and_the_root_stay(client: Client, new_user: NewUser) -> None:
    vienna = await unit(client, "Vienna")
    user = await new_user(business_unit_id=vienna)
    team = (await client.post(TEAMS, {"name": "Hunters", "business_unit_id": vienna})).json
    answer = await client.delete(f"{UNITS}/{vienna}")
    assert (answer.status, answer.problem) == (409, "in-use")
    shown = {(reference["type"], reference["id"]) for reference in answer.json["references"]}
    assert shown == {("user", user["id"]), ("team", team["id"])}
    assert (await client.delete(f"{UNITS}/{ROOT_ID}")).problem == "not-deletable"
    assert (await client.delete(f"{UNITS}/{await unit(client, 'Graz')}")).status == 204


async def test_moving_a_unit_supersedes_no_token(client: Client, new_user: NewUser, runtime: Runtime) -> None:
    """Tokens name the unit. Every service has the tree in memory."""
    vienna, east = await unit(client, "Vienna"), await unit(client, "East")
    await new_user(business_unit_id=vienna)
    await client.patch(f"{UNITS}/{vienna}", {"parent_id": east})
    assert await superseded(runtime) == []


async def test_a_teams_roles_are_its_members(
    client: Client, founder: dict[str, Any], new_user: NewUser, runtime: Runtime, erase: Any
) -> None:
    team = (await client.post(TEAMS, {"name": "Hunters"})).json
    assert team["business_unit_id"] == str(ROOT_ID)
    members = {UUID((await new_user(team_ids=[team["id"]]))["id"]) for _ in range(3)}
    await new_user()
    path = f"{TEAMS}/{team['id']}"
    assert (await client.patch(path, {"role_ids": [str(AUDITOR_ID)]})).json["role_ids"] == [str(AUDITOR_ID)]
    assert {who for who, _ in await superseded(runtime)} == members
    assert (await client.patch(path, {"name": "Farmers"})).json["version"] == 3
    assert len(await superseded(runtime)) == 3
    assert (await client.patch(path, {"role_ids": [str(uuid4())]})).problem == "unknown-reference"
    assert (await client.delete(path)).problem == "in-use"
    assert (await client.delete(f"{ROLES}/{AUDITOR_ID}")).problem == "in-use"
    for member in members:
        await client.patch(f"/api/v1/users/{member}", {"team_ids": []})
    await erase(path)


async def test_a_role_grants_by_entity_and_a_patch_merges(client: Client, founder: dict[str, Any]) -> None:
    body = {"name": "Readers", "privileges": {"lead": {"read": "deep"}, "account": {"read": "user"}}}
    made = await client.post(ROLES, body)
    nothing = dict.fromkeys(("create", "read", "write", "delete", "assign"), "none")
    assert made.json["privileges"] == {"lead": {**nothing, "read": "deep"}, "account": {**nothing, "read": "user"}}
    patch = {"privileges": {"lead": {"write": "user"}, "account": None, "task": {"read": "user"}}}
    changed = await client.patch(made.headers["location"], patch)
    assert changed.json["privileges"] == {
        "lead": {**nothing, "read": "deep", "write": "user"},
        "task": {**nothing, "read": "user"},
    }
    assert (await client.patch(made.headers["location"], {"privileges": {"task": {"read": "user"}}})).etag == '"2"'
    twin = await client.post(ROLES, {"name": "Readers"})
    assert (twin.status, twin.problem) == (409, "already-exists")
    assert (await client.delete(made.headers["location"])).status == 204


async def test_what_a_newer_release_stored_in_a_role_refuses_no_patch_and_is_kept(
    client: Client, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only tests check events against the contract of their own release.
    monkeypatch.setattr(runtime, "validate_events", False)
    made = await client.post(ROLES, {"name": "Readers", "privileges": {"lead": {"read": "deep"}}})
    newer = {"lead": {"read": "deep", "share": "user"}, "territory": {"read": "user"}}
    async with runtime.db.begin() as conn:
        sql = "update security_role set privileges = $1::text::jsonb where id = $2"
        await conn.exec_driver_sql(sql, (json.dumps(newer), UUID(made.json["id"])))
    changed = await client.patch(
        made.headers["location"], {"name": "Watchers", "privileges": {"task": {"read": "user"}}}
    )
    assert changed.status == 200, changed.body
    async with runtime.db.autocommit() as conn:
        sql = "select privileges from security_role where id = $1"
        kept = (await conn.exec_driver_sql(sql, (UUID(made.json["id"]),))).scalar_one()
    assert {name: held for name, held in kept.items() if name != "task"} == newer
    assert kept["task"]["read"] == "user"


@pytest.mark.parametrize(
    ("privileges", "slug"),
    [
        ({"unicorn": {"read": "user"}}, "unknown-entity"),
        ({"access_change": {"create": "organization"}}, "unknown-entity"),
        ({"user": {"read": "deep"}}, "invalid-depth"),
        ({"lead": {"read": "everything"}}, "validation"),
        ({"lead": {"sell": "user"}}, "validation"),
        ({"Lead": {"read": "user"}}, "validation"),
    ],
)
async def test_a_role_cannot_grant_what_means_nothing(client: Client, privileges: dict[str, Any], slug: str) -> None:
    answer = await client.post(ROLES, {"name": "Odd", "privileges": privileges})
    assert (answer.status, answer.problem) == (422, slug)


async def test_nobody_makes_a_role_above_their_own(client_for: Any) -> None:
    clerk = client_for(Principal(uuid4(), "user", ROOT_ID, privileges={"security_role": "44440", "lead": "02000"}))
    assert (await clerk.post(ROLES, {"name": "A", "privileges": {"lead": {"read": "business_unit"}}})).status == 201
    assert (await clerk.post(ROLES, {"name": "B", "privileges": {"lead": {"read": "deep"}}})).status == 403
    mine = await clerk.post(ROLES, {"name": "C"})
    assert (await clerk.patch(mine.headers["location"], {"privileges": {"task": {"read": "user"}}})).status == 403


async def test_changing_a_role_supersedes_its_holders_in_parts_of_five_hundred(
    client: Client, founder: dict[str, Any], runtime: Runtime
) -> None:
    role = (await client.post(ROLES, {"name": "Readers", "privileges": {"lead": {"read": "user"}}})).json["id"]
    team = (await client.post(TEAMS, {"name": "Hunters", "role_ids": [role]})).json["id"]
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql(
            "insert into user_account (id, version, status, status_reason, email, name, business_unit_id, team_ids,"
            " role_ids, created_at, modified_at) select gen_random_uuid(), 1, 'active', 'active', n || '@example.org',"
            " 'User ' || n, $1, case when n % 2 = 0 then array[$2::uuid] else '{}' end,"
            " case when n % 2 = 1 then array[$3::uuid] else '{}' end, now(), now() from generate_series(1, 501) n",
            (ROOT_ID, UUID(team), UUID(role)),
        )
    assert (await client.patch(f"{ROLES}/{role}", {"name": "Lead readers"})).status == 200
    assert await superseded(runtime) == []
    assert (await client.patch(f"{ROLES}/{role}", {"privileges": {"lead": {"read": "deep"}}})).status == 200
    found = await superseded(runtime)
    assert len({who for who, _ in found}) == len(found) == 501
    async with runtime.db.autocommit() as conn:
        sizes = await conn.exec_driver_sql("select jsonb_array_length(principals) from access_change order by 1 desc")
        assert sizes.scalars().all() == [500, 1]


async def test_the_organisation_has_settings(client: Client) -> None:
    found = await client.get(ORGANIZATION)
    assert (found.status, found.etag, found.json["base_currency"]) == (200, '"1"', "EUR")
    assert (await client.patch(ORGANIZATION, {"country": "AT"}, etag=None)).status == 428
    assert (await client.patch(ORGANIZATION, {"country": "AT"}, etag='"9"')).status == 412
    patch = {"country": "at", "time_zone": "Europe/Vienna", "language": "de-AT", "base_currency": "EUR"}
    changed = await client.patch(ORGANIZATION, patch, etag='"1"')
    assert (changed.json["version"], changed.json["country"], changed.json["time_zone"]) == (2, "AT", "Europe/Vienna")
    fixed = await client.patch(ORGANIZATION, {"base_currency": "CHF"})
    assert (fixed.status, fixed.problem) == (422, "base-currency-fixed")
    assert (await client.patch(ORGANIZATION, {"time_zone": "Mars/Olympus"})).status == 422
    history = await client.get(f"{ORGANIZATION}/history")
    assert [item["fact"] for item in history.json["items"]] == ["updated", "created"]
