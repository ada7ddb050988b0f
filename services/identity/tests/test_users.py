"""Users: their records, their rights, and the effects of changing either."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_identity.business_unit.model import ROOT_ID
from crm_identity.security_role.domain import ADMINISTRATOR_ID, AUDITOR_ID
from crm_identity.user.domain import LIFECYCLE
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, announced
from crm_kit.testing.people import grants, principal

from .conftest import PASSWORD, Login, NewUser, superseded

USERS = "/api/v1/users"


async def types(runtime: Runtime) -> list[str]:
    async with runtime.db.autocommit() as conn:
        return [event["type"].removeprefix("crm.identity.").removesuffix(".v1") for event in await announced(conn)]


async def test_a_user_is_created_read_listed_changed_and_deleted(
    client: Client, founder: dict[str, Any], runtime: Runtime, erase: Any
) -> None:
    body = {"email": " Ada@Example.ORG ", "name": " Ada ", "locale": "en-GB", "time_zone": "Europe/London"}
    made = await client.post(USERS, body)
    assert (made.status, made.etag) == (201, '"1"')
    assert (made.json["email"], made.json["name"], made.json["status"]) == ("Ada@example.org", "Ada", "active")
    assert made.json["business_unit_id"] == str(ROOT_ID)
    assert made.json["allowed_actions"] == ["disable"]
    assert "password" not in made.json
    path = made.headers["location"]
    assert (await client.get(path)).json == made.json
    listed = await client.get(f"{USERS}?email=Ada@example.org")
    assert [user["id"] for user in listed.json["items"]] == [made.json["id"]]
    stale = await client.patch(path, {"name": "Ada King"}, etag='"7"')
    assert (stale.status, stale.problem) == (412, "stale")
    changed = await client.patch(path, {"name": "Ada King", "locale": None}, etag='"1"')
    assert (changed.json["version"], changed.json["name"], changed.json["locale"]) == (2, "Ada King", None)
    assert (await client.patch(path, {"name": "Ada King"})).json["version"] == 2
    await erase(path)
    history = await client.get(f"{path}/history")
    assert [item["fact"] for item in history.json["items"]] == ["deleted", "updated", "created"]
    assert await types(runtime) == [
        *("user.created", "user.created", "user.updated"),
        *("principal_removal.created", *("principal_removal.updated",) * 3),
        *("user.deleted", "access_change.created", "principal_removal.completed"),
    ]


async def test_users_and_teams_are_found_by_what_people_type(client: Client, new_user: NewUser) -> None:
    grace = await new_user(name="Grace Hopper", email="amazing@navy.example.org")
    await new_user(name="Ada Lovelace")
    for text in ("hopp", "GRACE", "amazing@", "hopper grace", "navy.example"):
        found = await client.get(f"{USERS}?q={text}")
        assert [user["id"] for user in found.json["items"]] == [grace["id"]]
    assert (await client.get(f"{USERS}?q=100%25")).json["items"] == []
    team = (await client.post("/api/v1/teams", {"name": "Key accounts"})).json
    assert (await client.get("/api/v1/teams?q=account")).json["items"] == [team]


async def test_passwords_are_in_no_record_event_or_history(client: Client, new_user: NewUser, runtime: Runtime) -> None:
    user = await new_user()
    await client.post(f"{USERS}/{user['id']}/reset-password", {"password": "another long password"})
    async with runtime.db.autocommit() as conn:
        kept = await conn.exec_driver_sql(
            "select convert_from(body, 'utf8') from outbox union all select record::text from audit"
            " union all select changes::text from audit union all select password_hash from credential"
        )
        everything = " ".join(row or "" for row in kept.scalars())
    assert PASSWORD not in everything
    assert "another long password" not in everything
    assert everything.count("$argon2id$") == 1


async def test_a_login_belongs_to_one_user_whatever_its_case(client: Client, new_user: NewUser) -> None:
    user = await new_user()
    answer = await client.post(USERS, {"email": user["email"].upper(), "name": "Twin"})
    assert (answer.status, answer.problem) == (409, "already-exists")


async def test_a_login_in_ascii_form_stays_so_and_works(client: Client, new_user: NewUser, login: Login) -> None:
    user = await new_user(email="ada@xn--bcher-kva.example.org")
    assert user["email"] == "ada@xn--bcher-kva.example.org"
    assert (await Login(login.anybody, user["email"]).grant()).status == 200
    for typed in ("Élodie@example.org", "ada@bücher.example.org"):
        for answer in (
            await client.post(USERS, {"email": typed, "name": "Ada"}),
            await client.patch(f"{USERS}/{user['id']}", {"email": typed}),
        ):
            assert answer.status == 422
            assert [(error["pointer"], error["code"]) for error in answer.json["errors"]] == [("/email", "login-email")]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"business_unit_id": str(uuid4())}, "/business_unit_id"),
        ({"team_ids": [str(uuid4())]}, "/team_ids"),
        ({"role_ids": [str(uuid4())]}, "/role_ids"),
        ({"password": "short"}, "/password"),
        ({"time_zone": "Europe/Atlantis"}, "/time_zone"),
        ({"locale": "nonsense!"}, "/locale"),
        ({"email": "nowhere"}, "/email"),
        ({"id": str(uuid4())}, "/id"),
        ({"version": 7}, "/version"),
        ({"status": "disabled"}, "/status"),
        ({"created_by": str(uuid4())}, "/created_by"),
        ({"password_hash": "x"}, "/password_hash"),
    ],
)
async def test_what_a_user_cannot_be_is_422_with_its_place(client: Client, body: dict[str, Any], pointer: str) -> None:
    answer = await client.post(USERS, {"email": "ada@example.org", "name": "Ada", **body})
    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


async def test_changing_rights_supersedes_the_users_tokens(
    client: Client, new_user: NewUser, founder: dict[str, Any], runtime: Runtime
) -> None:
    user = await new_user()
    path = f"{USERS}/{user['id']}"
    unit = (await client.post("/api/v1/business-units", {"name": "Vienna", "parent_id": str(ROOT_ID)})).json["id"]
    team = (await client.post("/api/v1/teams", {"name": "Hunters"})).json["id"]
    for patch in ({"role_ids": [str(AUDITOR_ID)]}, {"team_ids": [team]}, {"business_unit_id": unit}):
        before = clock.now()
        assert (await client.patch(path, patch)).status == 200
        who, when = (await superseded(runtime))[-1]
        assert who == UUID(user["id"])
        assert before < when < clock.now()
    count = len(await superseded(runtime))
    assert (await client.patch(path, {"name": "Another", "time_zone": "UTC"})).json["version"] == 5
    assert (await client.patch(path, {"role_ids": [str(AUDITOR_ID)] * 2})).json["version"] == 5
    assert len(await superseded(runtime)) == count


async def test_a_disabled_user_is_out_and_an_enabled_one_in_again(
    client: Client, login: Login, new_user: NewUser, runtime: Runtime
) -> None:
    user = await new_user()
    theirs = Login(login.anybody, user["email"])
    refresh = (await theirs.grant()).json["refresh_token"]
    disabled = await client.post(f"{USERS}/{user['id']}/disable")
    assert (disabled.json["status"], disabled.json["allowed_actions"]) == ("disabled", ["enable"])
    assert (await superseded(runtime))[-1][0] == UUID(user["id"])
    assert (await theirs.grant()).status == 400
    assert (await theirs.refresh(refresh)).status == 400
    again = await client.post(f"{USERS}/{user['id']}/disable")
    assert (again.status, again.problem, again.json["allowed"]) == (409, "illegal-transition", ["enable"])
    assert (await client.post(f"{USERS}/{user['id']}/enable")).json["status"] == "active"
    assert (await theirs.grant()).status == 200
    assert (await theirs.refresh(refresh)).status == 400
    assert [t for t in await types(runtime) if t.startswith("user.")][-2:] == ["user.disabled", "user.enabled"]


def test_every_state_is_reached_and_left_by_a_command() -> None:
    assert LIFECYCLE.states == ["active/active", "disabled/disabled"]
    assert [LIFECYCLE.actions(state) for state in LIFECYCLE.states] == [["disable"], ["enable"]]


async def test_a_password_given_by_somebody_else_ends_the_sessions(
    client: Client, login: Login, new_user: NewUser, runtime: Runtime
) -> None:
    user = await new_user()
    theirs = Login(login.anybody, user["email"])
    refresh = (await theirs.grant()).json["refresh_token"]
    new = "another long password"
    answer = await client.post(f"{USERS}/{user['id']}/reset-password", {"password": new})
    assert (answer.status, answer.json["version"]) == (200, 2)
    assert "password" not in answer.json
    assert (await superseded(runtime))[-1][0] == UUID(user["id"])
    assert (await theirs.refresh(refresh)).status == 400
    assert (await theirs.grant()).status == 400
    assert (await theirs.grant(new)).status == 200


async def test_the_last_administrator_stays(
    client: Client, founder: dict[str, Any], new_user: NewUser, erase: Any
) -> None:
    path = f"{USERS}/{founder['id']}"
    attempts = [
        await client.post(f"{path}/disable"),
        await client.delete(path),
        await client.patch(path, {"role_ids": []}),
        await client.patch(f"/api/v1/security-roles/{ADMINISTRATOR_ID}", {"privileges": {"user": None}}),
    ]
    assert [(answer.status, answer.problem) for answer in attempts] == [(409, "last-administrator")] * 4
    assert (await client.get(path)).json == founder
    assert (await client.delete(f"/api/v1/security-roles/{ADMINISTRATOR_ID}")).problem == "not-deletable"
    await new_user(role_ids=[str(ADMINISTRATOR_ID)], password=None)
    assert (await client.delete(path)).problem == "last-administrator"
    await new_user(role_ids=[str(ADMINISTRATOR_ID)])
    await erase(path)


async def test_nobody_gives_or_takes_over_more_rights_than_they_hold(
    client: Client, client_for: Any, founder: dict[str, Any], new_user: NewUser
) -> None:
    helpdesk = client_for(Principal(uuid4(), "user", ROOT_ID, privileges={"user": "44444", "team": "44444"}))
    user = await new_user()
    elder = f"{USERS}/{founder['id']}"
    team = (await client.post("/api/v1/teams", {"name": "Chiefs", "role_ids": [str(ADMINISTRATOR_ID)]})).json["id"]
    admin = [str(ADMINISTRATOR_ID)]
    attempts = [
        await helpdesk.post(USERS, {"email": "me@example.org", "name": "Me", "role_ids": admin}),
        await helpdesk.patch(f"{USERS}/{user['id']}", {"role_ids": admin}),
        await helpdesk.patch(f"{USERS}/{user['id']}", {"team_ids": [team]}),
        await helpdesk.patch(elder, {"email": "mine@example.org"}),
        await helpdesk.post(f"{elder}/reset-password", {"password": "a password of mine"}),
        await helpdesk.post("/api/v1/teams", {"name": "Mine", "role_ids": admin}),
    ]
    assert [(answer.status, answer.problem) for answer in attempts] == [(403, "forbidden")] * 6
    assert (await helpdesk.patch(elder, {"name": "Renamed"})).status == 403
    assert (await helpdesk.post(f"{USERS}/{user['id']}/reset-password", {"password": PASSWORD})).status == 200


@pytest.mark.parametrize("depth", [Depth.NONE, Depth.USER, Depth.BUSINESS_UNIT, Depth.DEEP])
async def test_users_belong_to_the_organisation(client_for: Any, founder: dict[str, Any], depth: Depth) -> None:
    """Users have no owner, so no depth below *organization* reaches them."""
    reader = client_for(principal(depth, unit=ROOT_ID, id=UUID(founder["id"])))
    path = f"{USERS}/{founder['id']}"
    known, unknown = await reader.get(path), await reader.get(f"{USERS}/{uuid4()}")
    expected = 403 if depth is Depth.NONE else 404
    assert (known.status, unknown.status) == (expected, expected)
    assert _without_instance(known.json) == _without_instance(unknown.json)
    listed = await reader.get(USERS)
    assert listed.status == 403 if depth is Depth.NONE else listed.json["items"] == []
    assert (await reader.patch(path, {"name": "x"})).status == expected
    assert (await reader.delete(path)).status == expected


async def test_a_reader_may_not_write(client_for: Any, founder: dict[str, Any]) -> None:
    reader = client_for(principal(privileges=grants(Depth.NONE, user="04000")))
    path = f"{USERS}/{founder['id']}"
    assert (await reader.get(path)).json["allowed_actions"] == []
    attempts = [
        await reader.patch(path, {"name": "x"}),
        await reader.post(f"{path}/disable"),
        await reader.post(f"{path}/reset-password", {"password": PASSWORD}),
        await reader.delete(path),
        await reader.post(USERS, {"email": "a@example.org", "name": "A"}),
    ]
    assert [answer.status for answer in attempts] == [403] * 5


async def test_a_retried_create_makes_one_user(client: Client, founder: dict[str, Any]) -> None:
    body = {"email": "ada@example.org", "name": "Ada", "password": PASSWORD}
    first = await client.post(USERS, body, headers={"idempotency-key": "once"})
    second = await client.post(USERS, body, headers={"idempotency-key": "once"})
    assert (first.status, second.status, second.body) == (201, 201, first.body)
    assert second.headers["idempotent-replayed"] == "true"


def _without_instance(problem: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in problem.items() if name not in ("instance", "trace_id")}
