"""Changes of rights while tokens are issued: no valid token has outdated rights."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest

from crm_contracts.access import Claims
from crm_identity.auth.sessions import From, spend
from crm_kit import clock
from crm_kit.access.directory import Revocation
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client

from .conftest import Login, NewUser, superseded

ROLES = "/api/v1/security-roles"


async def test_no_token_outlives_a_change_of_rights_however_close(
    client: Client, login: Login, new_user: NewUser, runtime: Runtime
) -> None:
    """Each token with the old rights has a smaller sequence than the change, and an earlier time for services of an
    earlier release. Each other token has the new rights."""
    role = (await client.post(ROLES, {"name": "Readers", "privileges": {"lead": {"read": "user"}}})).json["id"]
    user = await new_user(role_ids=[role])
    theirs = Login(login.anybody, user["email"])
    sessions = [(await theirs.grant()).json["refresh_token"] for _ in range(4)]
    tokens: list[dict[str, Any]] = []
    stop = asyncio.Event()

    async def refresh_on(token: str) -> None:
        while not stop.is_set():
            answer = await theirs.refresh(token)
            assert answer.status == 200, answer.body
            token = answer.json["refresh_token"]
            tokens.append(jwt.decode(answer.json["access_token"], options={"verify_signature": False}))

    async with asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(refresh_on(session))
        for depth in ("deep", "user", "deep", "user", "deep"):
            seen = len(tokens)
            while len(tokens) < seen + 8:  # noqa: ASYNC110  # progress of the others is what is awaited
                await asyncio.sleep(0.005)
            answer = await client.patch(f"{ROLES}/{role}", {"privileges": {"lead": {"read": depth}}})
            assert answer.status == 200
        stop.set()
    changes = [(when.timestamp(), who) for who, when in await superseded(runtime)]
    assert [who for _, who in changes] == [UUID(user["id"])] * 5
    counted = await sequences(runtime)
    rights = ["01000", "03000", "01000", "03000", "01000", "03000"]
    for claims in tokens:
        version = sum(1 for when, _ in changes if claims["iat"] >= when)
        assert version == sum(1 for sequence in counted if claims["seq"] >= sequence)
        assert claims["prv"]["lead"] == rights[version]
    assert len({claims["prv"]["lead"] for claims in tokens}) == 2


async def sequences(runtime: Runtime) -> list[int]:
    async with runtime.db.autocommit() as conn:
        return list((await conn.exec_driver_sql("select sequence from access_change order by sequence")).scalars())


async def test_a_clock_that_goes_back_voids_no_new_token_and_keeps_no_old_one(
    client: Client, login: Login, new_user: NewUser, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = (await client.post(ROLES, {"name": "Writers", "privileges": {"lead": {"read": "user"}}})).json["id"]
    user = await new_user(role_ids=[role])
    theirs = Login(login.anybody, user["email"])

    async def change(depth: str) -> Revocation:
        answer = await client.patch(f"{ROLES}/{role}", {"privileges": {"lead": {"read": depth}}})
        assert answer.status == 200
        async with runtime.db.autocommit() as conn:
            found = await conn.exec_driver_sql(
                "select not_before, sequence from access_change order by sequence desc limit 1"
            )
            row: Any = found.one()
        return Revocation(row[0].timestamp(), row[1])

    async def claims() -> Claims:
        token = (await theirs.grant()).json["access_token"]
        return Claims.of(jwt.decode(token, options={"verify_signature": False}))

    before = await claims()
    first = await change("deep")
    monkeypatch.setattr(clock, "_OFFSET", timedelta(hours=-2))
    after = await claims()
    assert after.iat < first.not_before, "by the clock it is older"
    assert not first.voids(after.iat, after.seq)
    assert first.voids(before.iat, before.seq)
    second = await change("user")
    assert second.voids(after.iat, after.seq)
    assert second.voids(before.iat, before.seq), "though by the clock it is younger"
    last = await claims()
    assert not first.voids(last.iat, last.seq)
    assert not second.voids(last.iat, last.seq)
    assert last.prv["lead"] == "01000"


async def test_a_database_restored_from_an_older_backup_counts_past_what_it_counted_before(
    client: Client, new_user: NewUser, runtime: Runtime
) -> None:
    user = await new_user()
    await client.post(f"/api/v1/users/{user['id']}/disable")
    counted = (await sequences(runtime))[-1]
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update access_sequence set value = value - 1000000")
    await client.post(f"/api/v1/users/{user['id']}/enable")
    await client.post(f"/api/v1/users/{user['id']}/disable")
    assert (await sequences(runtime))[-1] > counted


async def test_two_uses_of_one_refresh_token_at_once_give_one_session_at_most(login: Login) -> None:
    token = (await login.grant()).json["refresh_token"]
    answers = await asyncio.gather(*(login.refresh(token) for _ in range(4)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200, 400, 400, 400]
    (winner,) = [answer.json["refresh_token"] for answer in answers if answer.status == 200]
    assert (await login.refresh(winner)).status == 400


async def test_a_refresh_that_fails_spends_nothing(
    runtime: Runtime, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await login.grant()).json["refresh_token"]
    async with runtime.db.connect(autocommit=False) as conn:
        assert await spend(conn, token, clock.now(), From("127.0.0.1")) is not None
        await conn.rollback()
    assert (await login.refresh(token)).status == 200
