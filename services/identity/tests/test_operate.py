"""The commands of operators, who have no session: restore access for a locked, disabled or missing administrator."""

import asyncio
import io
from typing import Any

import pytest

from crm_identity.operate import list_users, main, reset_password, restore, unlock
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_identity.settings import IdentitySettings
from crm_kit.errors import DomainError
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client

from .conftest import Login, NewUser

NEW = "another long password"


@pytest.fixture(autouse=True)
def limits(runtime: Runtime) -> IdentitySettings:
    """Three failures lock a name."""
    chosen = IdentitySettings.model_validate(
        {"CRM_TOKENS_PER_ACCOUNT": 100_000, "CRM_TOKENS_PER_ADDRESS": 100_000, "CRM_LOCKOUT_FAILURES": 3}
    )
    runtime.extras["identity"] = chosen
    return chosen


@pytest.fixture
async def locked(login: Login) -> Login:
    """The only administrator, locked by failed log-ins of a stranger."""
    for _ in range(3):
        await login.grant("not the right password")
    assert (await login.grant()).problem == "account-locked"
    return login


async def test_a_locked_out_administrator_is_let_in_again(
    client: Client, locked: Login, runtime: Runtime, founder: dict[str, Any]
) -> None:
    heads, line = await list_users(runtime)
    assert line.startswith(f"{locked.email}  Grace Hopper  active, administrator, locked until ")
    assert (heads.index("NAME"), heads.index("STATE")) == (line.index("Grace"), line.index("active"))
    await unlock(runtime, locked.email.upper())
    assert (await locked.grant()).status == 200
    assert await list_users(runtime) == [heads, f"{locked.email}  Grace Hopper  active, administrator"]
    (newest, *_) = (await client.get(f"/api/v1/users/{founder['id']}/history")).json["items"]
    assert newest["actor"].startswith("operator:")


async def test_a_reset_ends_the_lock_and_every_session(locked: Login, runtime: Runtime) -> None:
    await reset_password(runtime, locked.email, NEW)
    session = (await locked.grant(NEW)).json["refresh_token"]
    await reset_password(runtime, locked.email, f"{NEW} again")
    assert (await locked.refresh(session)).status == 400
    assert (await locked.grant(NEW)).status == 400
    assert (await locked.grant(f"{NEW} again")).status == 200
    with pytest.raises(DomainError, match="guessable-password"):
        await reset_password(runtime, locked.email, locked.email)


async def test_somebody_is_made_an_administrator_whatever_became_of_them(
    client: Client, login: Login, runtime: Runtime, new_user: NewUser
) -> None:
    user = await new_user()
    assert (await client.post(f"/api/v1/users/{user['id']}/disable")).status == 200
    await restore(runtime, user["email"], "Administrator", NEW)
    await restore(runtime, "root@example.org", "Root", NEW)
    for email in (user["email"], "root@example.org"):
        theirs = await Login(login.anybody, email, NEW).client()
        assert (await theirs.get(f"/api/v1/security-roles/{ADMINISTRATOR_ID}")).status == 200
    found = (await client.get(f"/api/v1/users/{user['id']}")).json
    assert (found["status"], found["role_ids"]) == ("active", [str(ADMINISTRATOR_ID)])


async def test_the_command_says_what_it_did_and_what_is_wrong(
    login: Login, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"CRM_SERVICE": "identity", "CRM_SECRET": "", "DATABASE_URL": runtime.settings.database_url}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert await asyncio.to_thread(main, ["reset-password", login.email]) == 0
    password = capsys.readouterr().out.partition("with password ")[2].split(" ")[0]
    assert (await login.grant(password)).status == 200
    assert await asyncio.to_thread(main, ["unlock", "nobody@example.org"]) == 1
    assert "no user with the e-mail address nobody@example.org" in capsys.readouterr().err
    assert await asyncio.to_thread(main, ["restore", "nobody"]) == 1
    assert capsys.readouterr().err.startswith("nobody: ")
    monkeypatch.setattr("sys.stdin", io.StringIO("password1234\n"))
    assert await asyncio.to_thread(main, ["reset-password", login.email, "--stdin"]) == 1
    assert "easy to guess" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NEW}\n"))
    assert await asyncio.to_thread(main, ["reset-password", login.email, "--stdin"]) == 0
    assert (await login.grant(NEW)).status == 200
