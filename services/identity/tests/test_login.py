"""The token endpoint: RFC 6749, and attacks on it."""

import unicodedata
from datetime import timedelta
from typing import Any

import aiohttp
import jwt
import pytest
from argon2 import Parameters, extract_parameters

from crm_contracts.access import MAX_CLAIMS_BYTES
from crm_identity.auth import passwords
from crm_identity.auth.passwords import hash_password, is_outdated, is_password
from crm_identity.auth.throttle import address_key
from crm_identity.business_unit.model import ROOT_ID
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_identity.settings import IdentitySettings
from crm_kit import clock
from crm_kit.network.addresses import client_address
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client

from .conftest import PASSWORD, Login, NewUser


async def test_a_password_gives_tokens_that_work_and_are_kept_by_no_cache(
    login: Login, founder: dict[str, Any]
) -> None:
    answer = await login.grant()
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json.keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
        "session_id",
    }
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 600)
    me = await login.anybody.as_token(answer.json["access_token"]).get("/api/v1/auth/me")
    assert (me.json["id"], me.json["email"], me.json["kind"]) == (founder["id"], founder["email"], "user")
    assert me.json["business_unit"] == {"id": str(ROOT_ID), "name": "Organisation"}
    assert me.json["privileges"]["lead"]["assign"] == "organization"


async def test_a_token_carries_what_services_check_and_stays_small(login: Login, founder: dict[str, Any]) -> None:
    token = (await login.grant()).json["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.keys() == {"sub", "kind", "teams", "bu", "prv", "iat", "exp", "aud", "iss", "jti", "seq"}
    assert (claims["sub"], claims["bu"], claims["prv"]["lead"]) == (founder["id"], str(ROOT_ID), "44444")
    assert 595 <= claims["exp"] - claims["iat"] <= 600
    assert len(token) < MAX_CLAIMS_BYTES * 4 / 3 + 300
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"


async def test_rights_of_roles_and_teams_add_up(client: Client, new_user: NewUser) -> None:
    async def role(**privileges: Any) -> str:
        body = {"name": f"role {sorted(privileges.items())}", "privileges": privileges}
        return str((await client.post("/api/v1/security-roles", body)).json["id"])

    mine, ours = await role(lead={"read": "user", "write": "deep"}), await role(lead={"read": "business_unit"})
    team = (await client.post("/api/v1/teams", {"name": "Readers", "role_ids": [ours]})).json["id"]
    user = await new_user(role_ids=[mine], team_ids=[team])
    answer = await Login(client.as_token(None), user["email"]).grant()
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert (claims["prv"], claims["teams"]) == ({"lead": "02300"}, [team])


async def test_unknown_wrong_disabled_and_without_password_look_alike(
    client: Client, login: Login, new_user: NewUser
) -> None:
    disabled = await new_user()
    assert (await client.post(f"/api/v1/users/{disabled['id']}/disable")).status == 200
    bare = await new_user(password=None)
    answers = [
        await Login(login.anybody, "nobody@example.org").grant(),
        await login.grant("not the right password"),
        await Login(login.anybody, disabled["email"]).grant(),
        await Login(login.anybody, bare["email"]).grant(),
        await Login(login.anybody, "nul\x00@example.org").grant(),
        await login.grant("x" * 10_000),
    ]
    for answer in answers:
        assert (answer.status, answer.problem, answer.json["error"]) == (400, "invalid-grant", "invalid_grant")
        assert answer.headers["cache-control"] == "no-store"
    assert len({answer.json["error_description"] for answer in answers}) == 1


@pytest.mark.parametrize("password", ["not the right password", "ﬁve is no NFC, and so is tried twice"])
async def test_an_unknown_account_costs_as_much_work_as_a_known_one(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[Parameters] = []
    matches = passwords._matches

    def counted(known: str, form: bytes) -> bool:
        work.append(extract_parameters(known))
        return matches(known, form)

    monkeypatch.setattr(passwords, "_matches", counted)
    assert not await is_password(password, await hash_password(PASSWORD))
    of_known, work[:] = list(work), []
    assert not await is_password(password, None)
    assert work == of_known != []


async def test_a_login_name_has_no_case(login: Login) -> None:
    assert (await Login(login.anybody, login.email.upper()).grant()).status == 200


async def test_the_same_characters_are_the_same_password() -> None:
    composed = "Zürich im Frühling"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    assert await is_password(decomposed, await hash_password(composed))


async def test_a_hash_of_weaker_parameters_is_renewed_at_login(
    runtime: Runtime, login: Login, founder: dict[str, Any]
) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update credential set password_hash = $1 where user_id = $2", (weak, founder["id"]))
    assert (await login.grant()).status == 200
    async with runtime.db.autocommit() as conn:
        kept = await conn.exec_driver_sql("select password_hash from credential where user_id = $1", (founder["id"],))
        assert not is_outdated(kept.scalar_one())
    assert (await login.grant()).status == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password", "username": "a@example.org"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "stranger"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "\x00\ud7ff"}, "invalid_grant"),
    ],
)
async def test_errors_speak_oauth_and_problem_details(login: Login, form: dict[str, str], error: str) -> None:
    answer = await login.form(**form)
    assert (answer.status, answer.json["error"]) == (400, error)
    assert answer.json["error_description"] == answer.json["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


async def test_json_is_no_form(login: Login) -> None:
    answer = await login.anybody.post("/api/v1/auth/token", {"grant_type": "password"})
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")


async def test_an_endless_form_is_refused(login: Login) -> None:
    answer = await login.form(grant_type="password", username="a", password="x" * 2_000_000)
    assert (answer.status, answer.problem) == (413, "body-too-large")


async def test_each_refresh_token_is_good_once_and_gives_the_next(login: Login) -> None:
    first = (await login.grant()).json
    second = await login.refresh(first["refresh_token"])
    assert second.status == 200
    assert second.json["refresh_token"] != first["refresh_token"]
    assert second.json["access_token"] != first["access_token"]
    assert (await login.refresh(second.json["refresh_token"])).status == 200


async def test_a_stolen_refresh_token_ends_its_session_and_no_other(login: Login) -> None:
    stolen = (await login.grant()).json["refresh_token"]
    other = (await login.grant()).json["refresh_token"]
    thief = (await login.refresh(stolen)).json["refresh_token"]
    assert (await login.refresh(stolen)).json["error"] == "invalid_grant"
    assert (await login.refresh(thief)).json["error"] == "invalid_grant"
    assert (await login.refresh(other)).status == 200


async def test_a_session_ends_when_its_login_said(
    login: Login, limits: IdentitySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (await login.grant()).json["refresh_token"]
    monkeypatch.setattr(clock, "_OFFSET", timedelta(days=limits.session_days) - timedelta(minutes=1))
    second = (await login.refresh(first)).json["refresh_token"]
    monkeypatch.setattr(clock, "_OFFSET", timedelta(days=limits.session_days) + timedelta(minutes=1))
    assert (await login.refresh(second)).json["error"] == "invalid_grant"


async def test_logging_out_ends_the_session(login: Login) -> None:
    first = (await login.grant()).json["refresh_token"]
    second = (await login.refresh(first)).json["refresh_token"]
    revoked = await login.form("/api/v1/auth/revoke", token=second, token_type_hint="refresh_token")
    assert (revoked.status, revoked.body, revoked.headers["cache-control"]) == (200, b"", "no-store")
    assert (await login.refresh(second)).status == 400
    assert (await login.form("/api/v1/auth/revoke", token="stranger")).status == 200


async def test_an_access_token_is_not_revoked_alone(login: Login) -> None:
    token = (await login.grant()).json["access_token"]
    answer = await login.form("/api/v1/auth/revoke", token=token)
    assert (answer.status, answer.json["error"]) == (400, "unsupported_token_type")
    assert (await login.form("/api/v1/auth/revoke")).json["error"] == "invalid_request"


async def test_the_published_key_verifies_the_token(login: Login) -> None:
    token = (await login.grant()).json["access_token"]
    answer = await login.anybody.get("/api/v1/auth/jwks")
    assert answer.headers["cache-control"] == "public, max-age=60"
    (key,) = answer.json["keys"]
    assert "d" not in key
    assert key["kid"] == jwt.get_unverified_header(token)["kid"]
    jwt.decode(token, jwt.PyJWK(key), algorithms=["EdDSA"], audience="crm")


async def test_an_account_has_ten_tries_a_minute(
    runtime: Runtime, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"CRM_TOKENS_PER_ADDRESS": 100_000, "CRM_LOCKOUT_FAILURES": 100}
    runtime.extras["identity"] = IdentitySettings.model_validate(limits)
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)
    for _ in range(10):
        assert (await login.grant("not the right password")).status == 400
    refused = await login.grant()
    assert (refused.status, refused.problem) == (429, "too-many-requests")
    wait = int(refused.headers["retry-after"])
    assert wait == 6
    assert (await Login(login.anybody, "somebody@example.org").grant()).status == 400
    monkeypatch.setattr(clock, "now", lambda: moment + timedelta(seconds=wait))
    assert (await login.grant()).status == 200


async def test_an_address_has_sixty_tries_a_minute(
    runtime: Runtime, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.extras["identity"] = IdentitySettings()
    moment = clock.now()
    monkeypatch.setattr(clock, "now", lambda: moment)

    async def try_from(address: str) -> int:
        answer = await login.anybody.request(
            "POST",
            "/api/v1/auth/token",
            body=aiohttp.FormData({"grant_type": "refresh_token", "refresh_token": "stranger"}),
            headers={"x-forwarded-for": address},
        )
        return answer.status

    assert {await try_from("203.0.113.7") for _ in range(60)} == {400}
    assert await try_from("203.0.113.7") == 429
    assert await try_from("203.0.113.8") == 400
    assert await try_from("203.0.113.7, 203.0.113.9") == 400


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("198.51.100.1", "203.0.113.7", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "10.0.0.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("::1", "2001:db8::5", "2001:db8::5"),
    ],
)
def test_only_our_proxies_say_whom_they_speak_for(peer: str, forwarded: str | None, address: str) -> None:
    assert client_address(peer, [forwarded] if forwarded else [], IdentitySettings().proxies) == address


def test_an_ipv6_network_counts_as_one_address() -> None:
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff") != address_key("2001:db8:0:1::1")
    assert len(address_key("x" * 5000)) < 80


async def test_a_new_password_ends_every_session(login: Login) -> None:
    refresh = (await login.grant()).json["refresh_token"]
    me = await login.client()
    new = "another long password"
    wrong = await me.post("/api/v1/auth/password", {"current_password": "not my password", "new_password": new})
    assert (wrong.status, wrong.problem) == (422, "wrong-password")
    short = await me.post("/api/v1/auth/password", {"current_password": PASSWORD, "new_password": "short"})
    assert (short.status, short.json["errors"][0]["pointer"]) == (422, "/new_password")
    assert (await me.post("/api/v1/auth/password", {"current_password": PASSWORD, "new_password": new})).status == 204
    assert (await login.refresh(refresh)).status == 400
    assert (await login.grant()).status == 400
    assert (await login.grant(new)).status == 200


async def test_whoami_needs_a_token(login: Login) -> None:
    answer = await login.anybody.get("/api/v1/auth/me")
    assert (answer.status, answer.problem) == (401, "token-missing")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_too_many_rights_for_a_token_are_refused_when_given(client: Client, new_user: NewUser) -> None:
    user = await new_user(role_ids=[str(ADMINISTRATOR_ID)])
    answer = await client.patch(f"/api/v1/users/{user['id']}", {"team_ids": [str(ROOT_ID)] * 41})
    assert (answer.status, answer.problem) == (422, "validation")
