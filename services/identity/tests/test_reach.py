"""The rules on who may change whose rights, and that no sequence of such changes extends the reach of the caller."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_identity.business_unit.model import ROOT_ID
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_identity.seed import seed
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client
from crm_kit.work.uow import UnitOfWork

from .conftest import NewUser

API = "/api/v1"
USERS, UNITS, TEAMS, ROLES, CLIENTS = (
    f"{API}/{name}" for name in ("users", "business-units", "teams", "security-roles", "api-clients")
)
IDENTITY = dict.fromkeys(("user", "team", "business_unit", "security_role", "api_client"), "44440")
NEW = "another long password"

ClientFor = Callable[[Principal], Client]


async def made(client: Client, path: str, **body: Any) -> str:
    answer = await client.post(path, body)
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


class Place:
    """Two units side by side, a unit below each, and roles for one of them."""

    def __init__(self, client: Client, client_for: ClientFor) -> None:
        self.client, self._client_for = client, client_for

    async def build(self) -> "Place":
        self.east = await made(self.client, UNITS, name="East", parent_id=str(ROOT_ID))
        self.west = await made(self.client, UNITS, name="West", parent_id=str(ROOT_ID))
        self.inner = await made(self.client, UNITS, name="Inner west", parent_id=self.west)
        for depth in ("user", "business_unit", "deep"):
            setattr(self, depth, await made(self.client, ROLES, name=depth, privileges={"lead": {"read": depth}}))
        return self

    def clerk(self, digits: str = "02000", unit: str | None = None, **more: Any) -> Client:
        """A user who may change all users in identity, and read the leads of the unit East."""
        privileges = {**IDENTITY, "lead": digits}
        return self._client_for(Principal(uuid4(), "user", UUID(unit or self.east), privileges=privileges, **more))

    user: str
    business_unit: str
    deep: str


@pytest.fixture
async def place(client: Client, client_for: ClientFor, founder: dict[str, Any]) -> Place:
    return await Place(client, client_for).build()


def login_of() -> str:
    return f"{uuid4().hex}@example.org"


async def test_the_same_depth_in_another_unit_is_more(place: Place, new_user: NewUser) -> None:
    """The depths are equal but the rows differ. All of these requests once returned 200 or 201."""
    clerk, role = place.clerk(), [place.business_unit]
    them = await new_user(business_unit_id=place.west, role_ids=role)
    team = await made(place.client, TEAMS, name="Hunters", business_unit_id=place.west, role_ids=role)
    program = await made(place.client, CLIENTS, name="Warehouse", business_unit_id=place.west, role_ids=role)
    idle = await new_user(business_unit_id=place.west)
    mine = await new_user(business_unit_id=place.east, role_ids=role)
    person = {"name": "Eve", "business_unit_id": place.west, "role_ids": role}
    attempts = [
        await clerk.post(f"{USERS}/{them['id']}/reset-password", {"password": NEW}),
        await clerk.patch(f"{USERS}/{them['id']}", {"email": login_of()}),
        await clerk.post(USERS, {**person, "email": login_of(), "password": NEW}),
        await clerk.post(CLIENTS, person),
        await clerk.post(f"{CLIENTS}/{program}/rotate-secret"),
        await clerk.patch(f"{USERS}/{idle['id']}", {"role_ids": role}),
        await clerk.patch(f"{USERS}/{mine['id']}", {"business_unit_id": place.west}),
        await clerk.patch(f"{USERS}/{mine['id']}", {"team_ids": [team]}),
    ]
    assert [(answer.status, answer.problem) for answer in attempts] == [(403, "forbidden")] * len(attempts)
    assert "records that you do not reach" in attempts[0].json["detail"]
    assert (await place.client.get(f"{USERS}/{mine['id']}")).json == mine


async def test_within_the_own_reach_all_of_it_is_allowed(place: Place, new_user: NewUser) -> None:
    clerk, role = place.clerk(), [place.business_unit]
    mine = await new_user(business_unit_id=place.east, role_ids=role)
    theirs = await new_user(business_unit_id=place.west)
    team = await made(clerk, TEAMS, name="Farmers", role_ids=role)
    assert (await clerk.post(f"{USERS}/{mine['id']}/reset-password", {"password": NEW})).status == 200
    user = await made(clerk, USERS, email=login_of(), name="Eve", role_ids=role, password=NEW)
    assert (await clerk.patch(f"{USERS}/{user}", {"team_ids": [team]})).status == 200
    assert (await clerk.post(CLIENTS, {"name": "Nightly", "role_ids": role})).status == 201
    assert (await clerk.patch(f"{USERS}/{theirs['id']}", {"name": "Renamed", "locale": "de"})).status == 200
    # A principal without privileges gives access to nothing.
    assert (await clerk.post(f"{USERS}/{theirs['id']}/reset-password", {"password": NEW})).status == 200
    for move in ("disable", "enable"):
        assert (await clerk.post(f"{USERS}/{user}/{move}")).status == 200


async def test_the_depth_of_a_person_reaches_no_other_persons_rows(place: Place, new_user: NewUser) -> None:
    """A caller who reads only their own leads, and takes over a user with the same right, would read that user's leads."""
    clerk = place.clerk("01000")
    them = await new_user(business_unit_id=place.east, role_ids=[place.user])
    assert (await clerk.post(f"{USERS}/{them['id']}/reset-password", {"password": NEW})).status == 403
    team = await made(place.client, TEAMS, name="Hunters", business_unit_id=place.east)
    assert (await clerk.patch(f"{USERS}/{them['id']}", {"team_ids": [team]})).status == 403
    new = {"name": "Eve", "role_ids": [place.user]}
    assert (await clerk.post(USERS, {**new, "email": login_of()})).status == 201, "somebody new owns nothing"
    assert (await clerk.post(USERS, {**new, "email": login_of(), "business_unit_id": place.west})).status == 403


async def test_rows_left_behind_in_another_unit_count(place: Place, new_user: NewUser) -> None:
    """An administrator moved the user here, and the user's records stayed in the former unit."""
    clerk = place.clerk()
    them = await new_user(business_unit_id=place.west, role_ids=[place.user])
    moved = await place.client.patch(f"{USERS}/{them['id']}", {"business_unit_id": place.east})
    assert moved.status == 200
    assert (await clerk.post(f"{USERS}/{them['id']}/reset-password", {"password": NEW})).status == 403


async def test_moving_a_unit_gives_its_rows_to_who_holds_deep_privileges_above(place: Place, new_user: NewUser) -> None:
    clerk = place.clerk("03000")
    move = {"parent_id": place.east}
    assert (await clerk.patch(f"{UNITS}/{place.west}", move)).status == 403, "it would be below their own"
    assert (await clerk.patch(f"{UNITS}/{place.inner}", move)).status == 403
    await new_user(business_unit_id=place.east, role_ids=[place.deep])
    elsewhere = place.clerk("02000", unit=str(ROOT_ID))
    assert (await elsewhere.patch(f"{UNITS}/{place.west}", move)).status == 403, "it would be below an accomplice's"
    above = place.clerk("03000", unit=str(ROOT_ID))
    assert (await above.patch(f"{UNITS}/{place.west}", move)).status == 200


async def test_editing_a_role_or_team_counts_for_all_who_hold_it(place: Place, new_user: NewUser) -> None:
    clerk = place.clerk()
    role = await made(place.client, ROLES, name="Own leads", privileges={"lead": {"read": "user"}})
    raise_it = {"privileges": {"lead": {"read": "business_unit"}}}
    await new_user(business_unit_id=place.east, role_ids=[role])
    assert (await clerk.patch(f"{ROLES}/{role}", raise_it)).status == 200
    other = await made(place.client, ROLES, name="Own leads, west", privileges={"lead": {"read": "user"}})
    await made(place.client, CLIENTS, name="Nightly", business_unit_id=place.west, role_ids=[other])
    assert (await clerk.patch(f"{ROLES}/{other}", raise_it)).status == 403
    team = await made(place.client, TEAMS, name="Hunters")
    await new_user(business_unit_id=place.west, team_ids=[team])
    assert (await clerk.patch(f"{TEAMS}/{team}", {"role_ids": [place.business_unit]})).status == 403


async def test_administrators_are_changed_by_administrators_only(
    place: Place, founder: dict[str, Any], new_user: NewUser
) -> None:
    helpdesk, admin = place.clerk("44444", unit=str(ROOT_ID)), [str(ADMINISTRATOR_ID)]
    team = await made(place.client, TEAMS, name="Chiefs", role_ids=admin)
    member = await new_user(team_ids=[team])
    program = await made(place.client, CLIENTS, name="Robot", role_ids=admin)
    attempts = [
        answer
        for user in (founder, member)
        for answer in (
            await helpdesk.post(f"{USERS}/{user['id']}/disable"),
            await helpdesk.post(f"{USERS}/{user['id']}/reset-password", {"password": NEW}),
            await helpdesk.patch(f"{USERS}/{user['id']}", {"role_ids": [], "team_ids": []}),
            await helpdesk.patch(f"{USERS}/{user['id']}", {"email": login_of()}),
            await helpdesk.patch(f"{USERS}/{user['id']}", {"business_unit_id": place.east}),
            await helpdesk.delete(f"{USERS}/{user['id']}"),
        )
    ]
    attempts += [
        await helpdesk.patch(f"{TEAMS}/{team}", {"role_ids": []}),
        await helpdesk.post(f"{CLIENTS}/{program}/rotate-secret"),
        await helpdesk.post(f"{CLIENTS}/{program}/deactivate"),
        await helpdesk.patch(f"{CLIENTS}/{program}", {"name": "Mine"}),
        await helpdesk.delete(f"{CLIENTS}/{program}"),
    ]
    assert [(answer.status, answer.problem) for answer in attempts] == [(403, "forbidden")] * len(attempts)
    assert (await place.client.post(f"{USERS}/{member['id']}/disable")).status == 200


async def test_the_administrator_role_is_fixed(client: Client, founder: dict[str, Any], runtime: Runtime) -> None:
    path = f"{ROLES}/{ADMINISTRATOR_ID}"
    before = (await client.get(path)).json
    attempts = [
        await client.patch(path, {"privileges": {"task": None}}),
        await client.patch(path, {"privileges": {"task": {"assign": "none"}}}),
        await client.patch(path, {"name": "Chief"}),
    ]
    assert [(answer.status, answer.problem) for answer in attempts] == [(409, "last-administrator")] * 3
    assert (await client.delete(path)).problem == "not-deletable"
    assert (await client.get(path)).json == before


async def test_an_upgrade_gives_the_administrator_role_back_what_it_lost(
    client: Client, founder: dict[str, Any], runtime: Runtime, system_uow: Callable[[Any], UnitOfWork]
) -> None:
    path = f"{ROLES}/{ADMINISTRATOR_ID}"
    whole = (await client.get(path)).json["privileges"]
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update security_role set privileges = '{}' where id = $1", (ADMINISTRATOR_ID,))
        uow = system_uow(conn)
        await seed(uow)
        await uow.flush()
    assert (await client.get(path)).json["privileges"] == whole
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("delete from security_role where id = $1", (ADMINISTRATOR_ID,))
        await conn.exec_driver_sql("delete from audit where entity_id = $1", (ADMINISTRATOR_ID,))
        await conn.exec_driver_sql("delete from outbox where entity_id = $1", (ADMINISTRATOR_ID,))
        uow = system_uow(conn)
        await seed(uow)
        await uow.flush()
    assert (await client.get(path)).json["privileges"] == whole


async def test_the_last_administrator_through_a_team_stays(client: Client, new_user: NewUser) -> None:
    team = await made(client, TEAMS, name="Chiefs", role_ids=[str(ADMINISTRATOR_ID)])
    member = await new_user(team_ids=[team])
    attempts = [
        await client.patch(f"{TEAMS}/{team}", {"role_ids": []}),
        await client.patch(f"{USERS}/{member['id']}", {"team_ids": []}),
        await client.post(f"{USERS}/{member['id']}/disable"),
        await client.delete(f"{USERS}/{member['id']}"),
    ]
    assert [(answer.status, answer.problem) for answer in attempts] == [(409, "last-administrator")] * 4
