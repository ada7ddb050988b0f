"""The initial data of an installation, and the signing keys."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select, text

from crm_contracts.access import Depth, DepthName, EntityPrivileges, Privilege, decode
from crm_contracts.catalogue import all_entities
from crm_contracts.rights import RIGHTS
from crm_identity.auth.keys import KeyRing, ensure_signing_key, forget_retired_keys, seal, unseal
from crm_identity.business_unit.model import ROOT_ID
from crm_identity.rotate import rotate
from crm_identity.security_role.domain import (
    ADMINISTRATOR_ID,
    DEFAULT_ROLES,
    OWNED_BY_NOBODY,
    default_depths,
    default_privileges,
    grantable,
    privileges_on,
)
from crm_identity.security_role.grants import checked_privileges
from crm_identity.security_role.model import SecurityRole, grants_of
from crm_identity.seed import seed
from crm_identity.settings import IdentitySettings
from crm_identity.tables import METADATA
from crm_kit import clock
from crm_kit.access.sealing import WrongSecret
from crm_kit.access.signing import SigningKey
from crm_kit.errors import InvalidValue
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, announced
from crm_kit.work.uow import UnitOfWork

from .conftest import PASSWORD, Login, superseded

MakeUow = Callable[[Any], UnitOfWork]


async def sow(runtime: Runtime, system_uow: MakeUow) -> None:
    async with runtime.db.begin() as conn:
        uow = system_uow(conn)
        await seed(uow)
        await uow.flush()


async def count(runtime: Runtime, table: str) -> int:
    async with runtime.db.autocommit() as conn:
        return int((await conn.execute(select(func.count()).select_from(text(table)))).scalar_one())


async def test_a_new_installation_has_what_it_needs_and_says_so(runtime: Runtime) -> None:
    async with runtime.db.autocommit() as conn:
        facts = (await conn.exec_driver_sql("select type from outbox order by seq")).scalars().all()
    assert facts == [
        "crm.identity.organization.created.v1",
        "crm.identity.business_unit.created.v1",
        *["crm.identity.security_role.created.v1"] * len(DEFAULT_ROLES),
    ]
    assert await count(runtime, "signing_key") == 1


async def test_the_migrations_make_what_is_mapped(runtime: Runtime) -> None:
    def differences(connection: Connection) -> list[Any]:
        ours = set(METADATA.tables)
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda thing, name, kind, *_: kind != "table" or name in ours}
        )
        return list(compare_metadata(context, METADATA))

    async with runtime.db.autocommit() as conn:
        assert await conn.run_sync(differences) == []


async def test_seeding_again_changes_nothing(runtime: Runtime, system_uow: MakeUow) -> None:
    before = await count(runtime, "outbox")
    await sow(runtime, system_uow)
    assert await count(runtime, "outbox") == before
    assert await count(runtime, "signing_key") == 1


async def test_the_first_administrator_is_made_once(runtime: Runtime, system_uow: MakeUow, client: Client) -> None:
    runtime.extras["identity"] = IdentitySettings.model_validate(
        {"CRM_ADMIN_EMAIL": "admin@example.com", "CRM_ADMIN_PASSWORD": PASSWORD}
    )
    await sow(runtime, system_uow)
    await sow(runtime, system_uow)
    async with runtime.db.autocommit() as conn:
        (event,) = await announced(conn)
    assert (event["type"], event["actor"]) == ("crm.identity.user.created.v1", "system:identity")
    assert event["data"]["record"]["role_ids"] == [str(ADMINISTRATOR_ID)]
    me = await (await Login(client.as_token(None), "admin@example.com").client()).get("/api/v1/auth/me")
    assert me.json["business_unit"]["id"] == str(ROOT_ID)
    runtime.extras["identity"] = IdentitySettings.model_validate(
        {"CRM_ADMIN_EMAIL": "second@example.com", "CRM_ADMIN_PASSWORD": PASSWORD}
    )
    await sow(runtime, system_uow)
    assert await count(runtime, "user_account") == 1


async def test_a_new_entity_reaches_the_default_roles_and_nothing_an_administrator_decided(
    runtime: Runtime, system_uow: MakeUow, client: Client, founder: dict[str, Any]
) -> None:
    """As after an upgrade that added leads and tasks."""
    salesperson, agent = DEFAULT_ROLES[0], DEFAULT_ROLES[4]
    taken_back = {"privileges": {"lead": {"read": "organization"}, "task": None}}
    assert (await client.patch(f"/api/v1/security-roles/{salesperson.id}", taken_back)).status == 200
    assert (await client.delete(f"/api/v1/security-roles/{agent.id}")).status == 204
    known = len(await superseded(runtime))
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("delete from seeded_entity where name = 'lead'")
        await conn.exec_driver_sql(
            "update security_role set privileges = privileges - 'lead' where id = $1", (ADMINISTRATOR_ID,)
        )
    await sow(runtime, system_uow)
    kept = (await client.get(f"/api/v1/security-roles/{salesperson.id}")).json
    assert (kept["version"], kept["privileges"]["lead"]["read"]) == (2, "organization")
    assert "task" not in kept["privileges"]
    given = (await client.get(f"/api/v1/security-roles/{ADMINISTRATOR_ID}")).json
    assert (given["version"], given["privileges"]["lead"]["assign"]) == (2, "organization")
    assert (await client.get(f"/api/v1/security-roles/{agent.id}")).status == 404
    assert [str(who) for who, _ in (await superseded(runtime))[known:]] == [founder["id"]]


@pytest.mark.parametrize("role", DEFAULT_ROLES, ids=lambda role: role.name)
def test_a_default_role_grants_only_what_means_something(role: Any) -> None:
    privileges = default_privileges(role, grantable())
    assert checked_privileges(_models(privileges)) == dict(sorted(privileges.items()))
    assert not OWNED_BY_NOBODY & privileges.keys()


def test_the_auditor_reads_everything_and_changes_nothing() -> None:
    auditor = next(role for role in DEFAULT_ROLES if role.name == "Auditor")
    held = grants_of(default_privileges(auditor, grantable()))
    assert set(held.values()) == {"04000"}
    assert held.keys() == {entity.name for entity in all_entities()} - OWNED_BY_NOBODY


def test_who_leads_may_do_whatever_their_staff_may() -> None:
    for staff, leader in zip(DEFAULT_ROLES[0:6:2], DEFAULT_ROLES[1:6:2], strict=True):
        for entity in grantable():
            less, more = default_depths(staff, entity), default_depths(leader, entity)
            assert all(less.get(p, Depth.NONE) <= more.get(p, Depth.NONE) for p in Privilege)


def test_the_administrators_grants_fit_into_a_token_many_times() -> None:
    held = grants_of(default_privileges(next(r for r in DEFAULT_ROLES if r.id == ADMINISTRATOR_ID), grantable()))
    for one in grantable():
        assert all(decode(held[one.name])[privilege] is Depth.ORGANIZATION for privilege in privileges_on(one))


def test_a_right_is_held_by_who_leads_its_department_and_means_write_only() -> None:
    roles = {role.name: role for role in DEFAULT_ROLES}
    for name, depth in (("Sales manager", "deep"), ("Administrator", "organization")):
        held = default_privileges(roles[name], RIGHTS)["credit_override"]
        assert held == {"create": "none", "read": "none", "write": depth, "delete": "none", "assign": "none"}
    for name in ("Salesperson", "Service manager", "Auditor"):
        assert default_privileges(roles[name], RIGHTS) == {}
    with pytest.raises(InvalidValue, match="invalid-depth"):
        checked_privileges({"credit_override": EntityPrivileges(read=DepthName.USER)})


def test_a_sealed_key_opens_with_its_secret_and_id_only() -> None:
    key = SigningKey.generate()
    sealed = seal(key, "secret")
    assert key.private.private_bytes_raw() not in sealed
    assert unseal(key.kid, sealed, "secret").jwk == key.jwk
    with pytest.raises(WrongSecret, match="CRM_SECRET has changed"):
        unseal(key.kid, sealed, "another secret")
    with pytest.raises(WrongSecret):
        unseal("another id", sealed, "secret")


async def test_another_secret_is_noticed_before_anything_starts(runtime: Runtime) -> None:
    async with runtime.db.begin() as conn:
        with pytest.raises(WrongSecret):
            await ensure_signing_key(conn, "another secret")


async def test_rotating_the_key_logs_nobody_out(
    runtime: Runtime, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = runtime.settings.secret.get_secret_value()
    before = (await login.grant()).json["access_token"]
    await rotate(runtime.settings)
    ring = KeyRing(runtime.db, secret)
    old, new = [key["kid"] for key in await ring.published()]
    assert jwt.get_unverified_header(before)["kid"] == old
    assert (await ring.signing()).kid == old
    assert (await login.anybody.as_token(before).get("/api/v1/auth/me")).status == 200
    monkeypatch.setattr(clock, "_OFFSET", timedelta(minutes=3))
    introduced = KeyRing(runtime.db, secret)
    assert (await introduced.signing()).kid == new
    assert len(await introduced.published()) == 2
    monkeypatch.setattr(clock, "_OFFSET", timedelta(minutes=31))
    assert [key["kid"] for key in await KeyRing(runtime.db, secret).published()] == [new]


async def test_a_key_that_verifies_nothing_any_more_is_not_kept(runtime: Runtime) -> None:
    await rotate(runtime.settings)
    for minutes, kept in ((29, 2), (31, 1)):
        async with runtime.db.begin() as conn:
            await forget_retired_keys(conn, clock.now() + timedelta(minutes=minutes))
        assert await count(runtime, "signing_key") == kept


def _models(privileges: dict[str, Any]) -> dict[str, Any]:
    from crm_contracts.access import EntityPrivileges

    assert SecurityRole.entity() == "security_role"
    return {entity: EntityPrivileges.model_validate(held) for entity, held in privileges.items()}
