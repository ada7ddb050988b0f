"""A clerk with all rights on users, and with leads of one unit, uses all of identity's commands to read leads of
another unit."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from fastapi import FastAPI

from crm_identity.app import SERVICE
from crm_identity.auth.keys import unseal
from crm_identity.business_unit.model import ROOT_ID
from crm_identity.main import app as identity_app
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_kit.access.privileges import Principal
from crm_kit.configuration.settings import Settings
from crm_kit.http.openapi import routes_of
from crm_kit.http.requests import Route
from crm_kit.process.runtime import Service
from crm_kit.testing import Client, Issuer, grants
from crm_kit.testing.databases import ServiceDatabase, settings_for

API = "/api/v1"
PEOPLE = {"user": "44440", "team": "44440", "business_unit": "44440", "security_role": "44440", "api_client": "44440"}
SECRET = "four words of nonsense"


@pytest.fixture(scope="module")
def service() -> Service:
    return SERVICE


@pytest.fixture(scope="module")
def make_app() -> Callable[[Settings], FastAPI]:
    return identity_app


@pytest.fixture(scope="module")
def settings(service: Service, database: ServiceDatabase) -> Settings:
    # On a busy machine a slow decision is still a decision.
    return settings_for(service, database.url, CRM_HOP_SECONDS="30")


@pytest.fixture(scope="module")
async def issuer(database: ServiceDatabase, settings: Settings) -> Issuer:
    conn = await asyncpg.connect(database.url)
    row = await conn.fetchrow("select kid, sealed from signing_key")
    await conn.close()
    return Issuer("", unseal(row["kid"], row["sealed"], settings.secret.get_secret_value()))


@pytest.fixture
def caller() -> Principal:
    return Principal(id=uuid4(), kind="user", unit=ROOT_ID, privileges=grants())


JUDGED = {
    *("create_user", "update_user", "delete_user", "disable_user", "enable_user", "reset_user_password"),
    *("create_api_client", "update_api_client", "delete_api_client", "rotate_api_client_secret"),
    *("activate_api_client", "deactivate_api_client", "update_team", "update_security_role", "update_business_unit"),
}
"""Operations that change what a user reaches, or who can act as a user."""

HARMLESS = {
    "create_team": "nobody is in it",
    "delete_team": "nobody is in it",
    "create_business_unit": "no row is in it",
    "delete_business_unit": "nobody is in it",
    "create_security_role": "nobody holds it, and its depths are compared",
    "delete_security_role": "nobody holds it",
    "update_organization_settings": "says nothing of rights",
    "change_password": "one's own",
}


def test_whoever_adds_an_operation_says_whether_it_gives_rights(app: FastAPI) -> None:
    changing = {
        route.operation_id
        for route in routes_of(app).values()
        if isinstance(route, Route) and (route.methods or set()) & {"POST", "PATCH", "PUT", "DELETE"}
    }
    changing -= {name for name in changing if name and name.startswith(("query_", "cancel_", "import_", "get_"))}
    about = ("user", "client", "team", "role", "unit")
    assert {
        name for name in changing - JUDGED - HARMLESS.keys() if name and any(word in name for word in about)
    } == set()


async def _made(client: Client, path: str, **body: Any) -> str:
    answer = await client.post(f"{API}/{path}", body)
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


def _login() -> str:
    return f"{uuid4().hex}@example.org"


@pytest.mark.parametrize(("digits", "depth"), [("02000", "business_unit"), ("03000", "deep")])
async def test_no_act_on_people_opens_another_units_rows(
    client: Client, client_for: Any, digits: str, depth: str
) -> None:
    name = uuid4().hex
    admin = [str(ADMINISTRATOR_ID)]
    root = await _made(client, "users", email=_login(), name="Root", role_ids=admin, password=SECRET)
    east = await _made(client, "business-units", name="East", parent_id=str(ROOT_ID))
    west = await _made(client, "business-units", name="West", parent_id=str(ROOT_ID))
    reads = [await _made(client, "security-roles", name=name, privileges={"lead": {"read": depth}})]
    idle = await _made(client, "security-roles", name=f"{name} idle", privileges={})
    victim = await _made(client, "users", email=_login(), name="Victim", business_unit_id=west, role_ids=reads)
    fresh = await _made(client, "users", email=_login(), name="Fresh", business_unit_id=west, role_ids=[idle])
    team = await _made(client, "teams", name=name, business_unit_id=west, role_ids=reads)
    robot = await _made(client, "api-clients", name=name, business_unit_id=west, role_ids=reads)
    me = await _made(client, "users", email=_login(), name="Clerk", business_unit_id=east, role_ids=reads)
    clerk = client_for(Principal(UUID(me), "user", UUID(east), privileges={**PEOPLE, "lead": digits}))
    mine = {"email": _login(), "name": "Mine", "password": SECRET}
    refused = [
        await clerk.patch(f"{API}/users/{me}", {"business_unit_id": west}),
        await clerk.patch(
            f"{API}/users/{me}", {"business_unit_id": str(ROOT_ID)} if depth == "deep" else {"team_ids": [team]}
        ),
        await clerk.patch(f"{API}/users/{me}", {"role_ids": admin}),
        await clerk.post(f"{API}/users/{victim}/reset-password", {"password": SECRET}),
        await clerk.patch(f"{API}/users/{victim}", {"email": _login()}),
        await clerk.post(f"{API}/users", {**mine, "business_unit_id": west, "role_ids": reads}),
        await clerk.post(f"{API}/users", {**mine, "team_ids": [team]}),
        await clerk.post(f"{API}/api-clients", {"name": "Mine", "business_unit_id": west, "role_ids": reads}),
        await clerk.post(f"{API}/api-clients/{robot}/rotate-secret"),
        await clerk.patch(f"{API}/users/{fresh}", {"role_ids": reads}),
        await clerk.patch(f"{API}/security-roles/{idle}", {"privileges": {"lead": {"read": depth}}}),
        *[await clerk.post(f"{API}/users/{root}/{act}") for act in ("disable", "enable")],
        await clerk.post(f"{API}/users/{root}/reset-password", {"password": SECRET}),
        await clerk.patch(f"{API}/users/{root}", {"role_ids": []}),
        await clerk.delete(f"{API}/users/{root}"),
    ]
    if depth == "deep":
        refused.append(await clerk.patch(f"{API}/business-units/{west}", {"parent_id": east}))
    assert [(answer.status, answer.problem) for answer in refused] == [(403, "forbidden")] * len(refused)


async def test_a_privilege_cannot_vanish(client: Client) -> None:
    path = f"{API}/security-roles/{ADMINISTRATOR_ID}"
    assert (await client.patch(path, {"privileges": {"task": None}})).status == 409
    assert (await client.delete(path)).status == 409
    assert (await client.get(path)).json["privileges"]["task"]["delete"] == "organization"
