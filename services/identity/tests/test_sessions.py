"""Sessions of users: which there are, and how one is ended."""

from typing import Any

import aiohttp

from crm_identity.settings import IdentitySettings
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client

from .conftest import Login, NewUser

AGENT = "Mozilla/5.0 (tests)"
SESSIONS = "/api/v1/auth/sessions"


async def test_a_login_is_a_session_that_keeps_its_id_when_it_is_refreshed(
    login: Login, founder: dict[str, Any]
) -> None:
    form = aiohttp.FormData({"grant_type": "password", "username": login.email, "password": login.password})
    headers = {"user-agent": AGENT}
    told = (await login.anybody.request("POST", "/api/v1/auth/token", body=form, headers=headers)).json
    assert 29 * 86400 < told["refresh_expires_in"] <= 30 * 86400
    client = login.anybody.as_token(told["access_token"])
    (first,) = (await client.get(SESSIONS)).json["items"]
    assert (first["id"], first["user_id"]) == (told["session_id"], founder["id"])
    assert (first["user_agent"], first["address"]) == (AGENT, "127.0.0.1")
    refreshed = (await login.refresh(told["refresh_token"])).json
    assert refreshed["session_id"] == told["session_id"]
    (after,) = (await client.get(SESSIONS)).json["items"]
    assert (after["id"], after["began_at"], after["expires_at"]) == (
        first["id"],
        first["began_at"],
        first["expires_at"],
    )
    assert after["last_used_at"] >= first["last_used_at"]


async def test_sessions_are_paged_by_the_last_login(login: Login) -> None:
    ids = [(await login.grant()).json["session_id"] for _ in range(3)]
    client = login.anybody.as_token((await login.grant()).json["access_token"])
    seen, after = [], ""
    while after is not None:
        page = (await client.get(f"{SESSIONS}?limit=3{after and '&after='}{after}")).json
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
    assert seen[1:] == ids[::-1]


async def test_an_ended_session_cannot_be_refreshed_and_others_can(login: Login) -> None:
    gone, kept = (await login.grant()).json, (await login.grant()).json
    client = login.anybody.as_token(kept["access_token"])
    assert (await client.post(f"{SESSIONS}/{gone['session_id']}/end")).status == 204
    assert (await login.refresh(gone["refresh_token"])).problem == "invalid-grant"
    renewed = await login.refresh(kept["refresh_token"])
    assert renewed.status == 200
    client = login.anybody.as_token(renewed.json["access_token"])
    assert [one["id"] for one in (await client.get(SESSIONS)).json["items"]] == [kept["session_id"]]
    again = await client.post(f"{SESSIONS}/{gone['session_id']}/end")
    assert (again.status, again.problem) == (404, "not-found")


async def test_administrators_see_and_end_sessions_of_others_and_nobody_else_does(
    client: Client, login: Login, new_user: NewUser
) -> None:
    user = await new_user()
    theirs = (await Login(client.as_token(None), user["email"]).grant()).json
    other = await new_user()
    stranger = client.as_token((await Login(client.as_token(None), other["email"]).grant()).json["access_token"])
    assert (await stranger.get(f"{SESSIONS}?user_id={user['id']}")).status == 403
    assert (await stranger.post(f"{SESSIONS}/{theirs['session_id']}/end")).status == 403
    shown = (await client.get(f"{SESSIONS}?user_id={user['id']}")).json["items"]
    assert [one["id"] for one in shown] == [theirs["session_id"]]
    assert (await client.post(f"{SESSIONS}/{theirs['session_id']}/end")).status == 204
    assert (await client.get(f"{SESSIONS}?user_id={user['id']}")).json["items"] == []


async def test_refreshes_that_succeed_do_not_count_against_the_address(runtime: Runtime, login: Login) -> None:
    runtime.extras["identity"] = IdentitySettings()
    token = (await login.grant()).json["refresh_token"]
    for _ in range(70):
        answer = await login.refresh(token)
        assert answer.status == 200
        token = answer.json["refresh_token"]
