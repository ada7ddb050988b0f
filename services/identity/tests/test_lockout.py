"""Lock-out: the limits for guessing passwords, and how an account is unlocked."""

import asyncio
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from crm_identity.auth.lockout import forget_old_failures
from crm_identity.settings import IdentitySettings
from crm_kit import clock
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, Client

from .conftest import PASSWORD, Login, NewUser

WRONG = "not the right password"


@pytest.fixture(autouse=True)
def limits(runtime: Runtime) -> IdentitySettings:
    """Three failures within ten minutes lock a name for five."""
    chosen = IdentitySettings.model_validate(
        {
            "CRM_TOKENS_PER_ACCOUNT": 100_000,
            "CRM_TOKENS_PER_ADDRESS": 100_000,
            "CRM_LOCKOUT_FAILURES": 3,
            "CRM_LOCKOUT_WINDOW_MINUTES": 10,
            "CRM_LOCKOUT_MINUTES": 5,
        }
    )
    runtime.extras["identity"] = chosen
    return chosen


def later(monkeypatch: pytest.MonkeyPatch, **by: float) -> None:
    monkeypatch.setattr(clock, "_OFFSET", timedelta(**by))


async def fail(login: Login, times: int) -> list[int]:
    return [(await login.grant(WRONG)).status for _ in range(times)]


def is_locked(answer: Answer) -> bool:
    return (answer.status, answer.problem) == (429, "account-locked")


async def test_the_last_failure_allowed_locks_and_the_lock_ends_by_itself(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await fail(login, 3) == [400, 400, 400]
    locked = await login.grant()
    assert is_locked(locked)
    assert locked.json["error"] == "invalid_grant"
    assert locked.headers["cache-control"] == "no-store"
    assert 290 < int(locked.headers["retry-after"]) <= 300
    later(monkeypatch, minutes=4, seconds=50)
    assert is_locked(await login.grant()), "tries while it is locked do not matter either way"
    later(monkeypatch, minutes=5, seconds=1)
    assert (await login.grant()).status == 200


async def test_a_name_nobody_has_is_locked_just_the_same(login: Login) -> None:
    nobody = Login(login.anybody, "nobody@example.org")
    assert await fail(nobody, 3) == [400, 400, 400]
    assert await fail(login, 3) == [400, 400, 400]
    theirs, mine = await nobody.grant(), await login.grant()
    assert is_locked(theirs)
    members = ("type", "title", "status", "detail", "error")
    assert [theirs.json[name] for name in members] == [mine.json[name] for name in members]


async def test_case_and_space_are_no_other_name(login: Login) -> None:
    await fail(Login(login.anybody, login.email.upper()), 2)
    await fail(Login(login.anybody, f" {login.email} "), 1)
    assert is_locked(await login.grant())


async def test_a_login_that_succeeds_forgets_the_failures_before(login: Login) -> None:
    for _ in range(3):
        assert await fail(login, 2) == [400, 400]
        assert (await login.grant()).status == 200


async def test_failures_far_apart_do_not_add_up(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    await fail(login, 2)
    later(monkeypatch, minutes=10, seconds=1)
    await fail(login, 2)
    assert (await login.grant()).status == 200


async def test_a_lock_that_has_ended_is_followed_by_as_many_tries_as_before(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail(login, 3)
    later(monkeypatch, minutes=5, seconds=1)
    assert await fail(login, 2) == [400, 400]
    assert (await login.grant()).status == 200


async def test_failures_at_once_are_all_counted(login: Login, runtime: Runtime) -> None:
    answers = await asyncio.gather(*(login.grant(WRONG) for _ in range(3)))
    assert {answer.status for answer in answers} == {400}
    assert is_locked(await login.grant())
    async with runtime.db.autocommit() as conn:
        found = await conn.exec_driver_sql("select failures from failed_login order by failures")
        assert found.scalars().all() == [3, 3], "at this address, and everywhere"


async def test_one_locked_name_locks_no_other_and_ends_no_session(login: Login, new_user: NewUser) -> None:
    other = Login(login.anybody, (await new_user())["email"])
    session = (await login.grant()).json["refresh_token"]
    await fail(login, 3)
    assert (await other.grant()).status == 200
    assert (await login.refresh(session)).status == 200


async def test_an_administrator_unlocks_with_a_new_password_or_by_enabling(
    client: Client, login: Login, founder: dict[str, Any], new_user: NewUser
) -> None:
    path = f"/api/v1/users/{founder['id']}"
    await fail(login, 3)
    assert (await client.post(f"{path}/reset-password", {"password": "another long password"})).status == 200
    assert (await login.grant("another long password")).status == 200
    user = await new_user()
    theirs = Login(login.anybody, user["email"])
    await fail(theirs, 3)
    for move in ("disable", "enable"):
        assert (await client.post(f"/api/v1/users/{user['id']}/{move}")).status == 200
    assert (await theirs.grant()).status == 200


async def test_guessing_the_password_of_a_session_one_has_stolen_is_locked_too(login: Login) -> None:
    me = await login.client()

    async def change(current: str) -> Answer:
        body = {"current_password": current, "new_password": "another long password"}
        return await me.post("/api/v1/auth/password", body)

    assert [(await change(WRONG)).problem for _ in range(3)] == ["wrong-password"] * 3
    assert is_locked(await change(PASSWORD))
    assert (await login.grant()).status == 200


async def test_what_locks_nobody_any_more_is_forgotten(
    login: Login, runtime: Runtime, limits: IdentitySettings
) -> None:
    await fail(login, 3)
    async with runtime.db.autocommit() as conn:
        for minutes, kept in ((9, 2), (11, 0)):
            await forget_old_failures(conn, limits, clock.now() + timedelta(minutes=minutes))
            assert (await conn.exec_driver_sql("select count(*) from failed_login")).scalar_one() == kept


def at(login: Login, address: str) -> Login:
    class Elsewhere(Login):
        async def form(self, path: str = "/api/v1/auth/token", **fields: str) -> Answer:
            headers = {"x-forwarded-for": address}
            return await self.anybody.request("POST", path, body=aiohttp.FormData(fields), headers=headers)

    return Elsewhere(login.anybody, login.email, login.password)


async def test_a_stranger_locks_the_name_for_themselves_only(login: Login) -> None:
    stranger = at(login, "192.0.2.1")
    assert await fail(stranger, 3) == [400, 400, 400]
    assert is_locked(await stranger.grant())
    assert (await login.grant()).status == 200


async def test_many_strangers_lock_it_but_where_its_owner_was_before(login: Login) -> None:
    assert (await login.grant()).status == 200
    for number in range(10):
        assert await fail(at(login, f"192.0.2.{number + 1}"), 3) == [400, 400, 400]
    assert is_locked(await at(login, "192.0.2.99").grant())
    assert (await login.grant()).status == 200


async def test_a_clock_that_goes_back_locks_nobody_out(
    login: Login, limits: IdentitySettings, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.extras["identity"] = limits.model_copy(update={"tokens_per_account": 4})
    assert await fail(login, 3) == [400, 400, 400]
    assert is_locked(await login.grant())
    assert (await login.grant()).problem == "too-many-requests"
    later(monkeypatch, hours=-2)
    assert (await login.grant()).problem == "too-many-requests"
    later(monkeypatch, hours=-2, minutes=1)
    assert (await login.grant()).status == 200, "neither is the lock two hours longer nor the bucket empty for so long"
