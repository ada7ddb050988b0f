"""A user, team or API client is deleted when no service owns a record for it any more."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_identity.business_unit.model import ROOT_ID
from crm_identity.consumers import CONSUMERS
from crm_identity.removal.domain import answered, asked, decided, owning_services
from crm_identity.security_role.domain import ADMINISTRATOR_ID
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, principal
from crm_kit.testing.people import grants

from .conftest import OWNING, Answers, Login, NewUser

USERS, TEAMS, CLIENTS, REMOVALS = (
    f"/api/v1/{name}" for name in ("users", "teams", "api-clients", "principal-removals")
)
SERVICES = list(OWNING)


@pytest.mark.parametrize(
    ("status", "told", "outcome"),
    [
        ("counting", {}, None),
        ("counting", {"sales": ("counted", 3, 0)}, None),
        ("counting", dict.fromkeys(SERVICES, ("counted", 0, 0)), "completed"),
        ("counting", {**dict.fromkeys(SERVICES, ("counted", 0, 0)), "sales": ("counted", 1, 0)}, "refused"),
        ("moving", dict.fromkeys(SERVICES, ("moving", 0, 0)), None),
        ("moving", {**dict.fromkeys(SERVICES, ("completed", 2, 2)), "sales": ("moving", 5, 5)}, None),
        ("moving", dict.fromkeys(SERVICES, ("completed", 2, 2)), "completed"),
    ],
)
def test_the_answers_of_all_services_decide(status: str, told: dict[str, Any], outcome: str | None) -> None:
    parts = asked()
    for service, answer in told.items():
        parts = answered(parts, service, *answer)
    assert decided(status, parts) == outcome


def test_every_service_that_owns_records_is_asked() -> None:
    assert owning_services() == SERVICES
    assert {group.name for group in CONSUMERS.groups.values()} == {"identity.access", "identity.removals"}


async def test_a_user_who_owns_records_is_not_deleted(client: Client, new_user: NewUser, answers: Answers) -> None:
    path = f"{USERS}/{(await new_user())['id']}"
    begun = await client.delete(path)
    assert (begun.status, begun.json["status"]) == (202, "counting")
    assert begun.headers["location"] == f"{REMOVALS}/{begun.json['id']}"
    again = await client.delete(path)
    assert again.json == begun.json
    await answers(begun.json, sales=("counted", 12, 0), activities=("counted", 3, 0))
    ended = (await client.get(begun.headers["location"])).json
    assert (ended["status"], ended["reason"]) == ("refused", "owns-records")
    assert {part["service"]: part["owned"] for part in ended["services"]} == {
        "activities": 3,
        "marketing": 0,
        "sales": 12,
        "service": 0,
    }
    assert (await client.get(path)).json["status"] == "active"


async def test_the_request_waits_for_the_answers(
    client: Client, new_user: NewUser, answers: Answers, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = runtime.settings.model_copy(update={"projection_wait_seconds": 60.0})
    monkeypatch.setattr(runtime, "settings", patient)

    async def delete(user: dict[str, Any], **told: tuple[str, int, int]) -> Any:
        asking = asyncio.create_task(client.delete(f"{USERS}/{user['id']}"))
        while not (begun := (await client.get(f"{REMOVALS}?principal_id={user['id']}")).json["items"]):
            assert not asking.done()
        await answers(begun[0], **told)
        return await asking

    owner, nobody = await new_user(), await new_user()
    refused = await delete(owner, sales=("counted", 12, 0), service=("counted", 1, 0))
    assert (refused.status, refused.problem) == (409, "owns-records")
    assert refused.json["owned"] == [{"service": "sales", "records": 12}, {"service": "service", "records": 1}]
    assert (await client.get(refused.json["removal"])).json["status"] == "refused"
    assert (await delete(nobody)).status == 204
    assert (await client.get(f"{USERS}/{nobody['id']}")).status == 404


async def test_a_user_is_deleted_once_all_records_have_another_owner(
    client: Client, login: Login, new_user: NewUser, answers: Answers
) -> None:
    user, heir = await new_user(), await new_user()
    path, transfer = f"{USERS}/{user['id']}", f"transfer_to={heir['id']}"
    begun = await client.delete(f"{path}?{transfer}")
    assert (begun.status, begun.json["status"], begun.json["recipient_id"]) == (202, "moving", heir["id"])
    # Nobody works as a user whose records are moving.
    assert (await client.get(path)).json["status"] == "disabled"
    assert (await Login(login.anybody, user["email"]).grant()).status == 400
    assert (await client.post(f"{path}/enable")).problem == "being-removed"
    assert (await client.delete(f"{path}?{transfer}")).json["id"] == begun.json["id"]
    assert (await client.delete(f"{path}?transfer_to={(await new_user())['id']}")).problem == "being-removed"
    await answers(begun.json, sales=("moving", 500, 200), **dict.fromkeys(SERVICES[:2], ("completed", 1, 1)))
    progress = (await client.get(begun.headers["location"])).json
    assert [part["moved"] for part in progress["services"]] == [1, 1, 200, 0]
    assert (await client.get(path)).status == 200
    await answers(begun.json, only=True, service=("completed", 0, 0), sales=("completed", 500, 500))
    assert (await client.get(begun.headers["location"])).json["status"] == "completed"
    assert (await client.get(path)).status == 404


async def test_a_removal_is_canceled_before_its_end(
    client: Client, client_for: Callable[[Principal | None], Client], new_user: NewUser, answers: Answers
) -> None:
    user, heir = await new_user(), await new_user()
    path = f"{USERS}/{user['id']}"
    begun = await client.delete(f"{path}?transfer_to={heir['id']}")
    await answers(begun.json, only=True, sales=("moving", 500, 200))
    place = begun.headers["location"]
    staff = client_for(principal(user="44444", principal_removal="04000", lead="44440"))
    assert [(await one.get(place)).json["allowed_actions"] for one in (client, staff)] == [["cancel"], []]
    assert (await staff.post(f"{place}/cancel")).problem == "forbidden"
    ended = await client.post(f"{place}/cancel")
    assert (ended.status, ended.json["status"], ended.json["reason"]) == (200, "refused", "canceled")
    assert ended.json["allowed_actions"] == []
    assert [part["moved"] for part in ended.json["services"]] == [0, 0, 200, 0]
    # What services tell later changes nothing, and the user can work again.
    await answers(begun.json, **dict.fromkeys(SERVICES, ("completed", 1, 1)))
    assert (await client.get(path)).json["status"] == "disabled"
    assert (await client.post(f"{path}/enable")).status == 200
    again = await client.post(f"{place}/cancel")
    assert (again.status, again.problem) == (409, "illegal-transition")


async def test_another_request_replaces_one_that_only_counts(client: Client, new_user: NewUser) -> None:
    user, heir = await new_user(), await new_user()
    counting = await client.delete(f"{USERS}/{user['id']}")
    moving = await client.delete(f"{USERS}/{user['id']}?transfer_to={heir['id']}")
    assert (moving.status, moving.json["status"]) == (202, "moving")
    replaced = (await client.get(counting.headers["location"])).json
    assert (replaced["status"], replaced["reason"]) == ("refused", "superseded")


async def begun_earlier(runtime: Runtime) -> None:
    """Let two minutes pass for all removals."""
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("update principal_removal set created_at = created_at - interval '2 minutes'")


async def test_numbers_of_earlier_delete_nobody(
    client: Client, new_user: NewUser, answers: Answers, runtime: Runtime
) -> None:
    path = f"{USERS}/{(await new_user())['id']}"
    begun = await client.delete(path)
    await begun_earlier(runtime)
    await answers(begun.json)
    ended = (await client.get(begun.headers["location"])).json
    assert (ended["status"], ended["reason"]) == ("refused", "not-answered")
    assert (await client.get(path)).json["status"] == "active"


@pytest.mark.parametrize("transfers", [False, True])
async def test_a_removal_that_nobody_answers_is_replaced(
    client: Client, new_user: NewUser, answers: Answers, runtime: Runtime, transfers: bool
) -> None:
    user, wrong, heir = await new_user(), await new_user(), await new_user()
    path = f"{USERS}/{user['id']}"
    begun = await client.delete(f"{path}?transfer_to={wrong['id']}" if transfers else path)
    await begun_earlier(runtime)
    again = await client.delete(f"{path}?transfer_to={heir['id']}")
    assert (again.status, again.json["recipient_id"]) == (202, heir["id"])
    replaced = (await client.get(begun.headers["location"])).json
    assert (replaced["status"], replaced["reason"]) == ("refused", "superseded")
    await answers(again.json, **dict.fromkeys(SERVICES, ("completed", 1, 1)))
    assert (await client.get(path)).status == 404


async def test_who_removes_itself_names_another_owner(client_for: Any, new_user: NewUser) -> None:
    user = await new_user()
    own = await client_for(principal(id=UUID(user["id"]), unit=ROOT_ID)).delete(f"{USERS}/{user['id']}")
    assert (own.status, own.problem, own.json["errors"][0]["pointer"]) == (422, "unknown-reference", "transfer_to")


async def test_a_recipient_can_own_records(client: Client, new_user: NewUser) -> None:
    user, disabled, leaving = await new_user(), await new_user(), await new_user()
    await client.post(f"{USERS}/{disabled['id']}/disable")
    await client.delete(f"{USERS}/{leaving['id']}?transfer_to={user['id']}")
    for recipient, code in (
        (user["id"], "unknown-reference"),
        (str(uuid4()), "unknown-reference"),
        (disabled["id"], "inactive-reference"),
        (leaving["id"], "inactive-reference"),
    ):
        answer = await client.delete(f"{USERS}/{user['id']}?transfer_to={recipient}")
        assert (answer.status, answer.problem) == (422, code)
        assert answer.json["errors"][0]["pointer"] == "transfer_to"


async def test_whoever_deletes_an_owner_may_assign_every_record(
    client: Client, client_for: Any, new_user: NewUser
) -> None:
    user = await new_user()
    helpdesk = client_for(Principal(uuid4(), "user", ROOT_ID, privileges=grants(lead="44443")))
    answer = await helpdesk.delete(f"{USERS}/{user['id']}")
    assert (answer.status, answer.problem) == (403, "forbidden")
    assert "'assign' on lead for the whole organisation" in answer.json["detail"]


async def test_what_changed_meanwhile_refuses_the_deletion(
    client: Client, founder: dict[str, Any], new_user: NewUser, answers: Answers
) -> None:
    other = await new_user(role_ids=[str(ADMINISTRATOR_ID)])
    begun = await client.delete(f"{USERS}/{founder['id']}")
    await client.post(f"{USERS}/{other['id']}/disable")
    await answers(begun.json)
    assert (await client.get(begun.headers["location"])).json["reason"] == "last-administrator"
    team = (await client.post(TEAMS, {"name": "Hunters"})).json["id"]
    begun = await client.delete(f"{TEAMS}/{team}")
    member = await new_user(team_ids=[team])
    await answers(begun.json)
    assert (await client.get(begun.headers["location"])).json["reason"] == "in-use"
    assert (await client.delete(f"{TEAMS}/{team}")).json["references"][0]["id"] == member["id"]


async def test_teams_and_api_clients_are_removed_alike(
    client: Client, new_user: NewUser, answers: Answers, runtime: Runtime
) -> None:
    team = (await client.post(TEAMS, {"name": "Hunters"})).json["id"]
    heirs = (await client.post(TEAMS, {"name": "Farmers"})).json["id"]
    robot = (await client.post(CLIENTS, {"name": "Robot", "role_ids": []})).json["id"]
    for path in (f"{TEAMS}/{team}", f"{CLIENTS}/{robot}"):
        begun = await client.delete(f"{path}?transfer_to={heirs}")
        assert (begun.status, begun.json["recipient_type"]) == (202, "team")
        if path.startswith(CLIENTS):
            assert (await client.get(path)).json["status"] == "inactive"
            assert (await client.post(f"{path}/activate")).problem == "being-removed"
        await answers(begun.json, **dict.fromkeys(SERVICES, ("completed", 1, 1)))
        assert (await client.get(path)).status == 404
    async with runtime.db.autocommit() as conn:
        kinds = await conn.exec_driver_sql("select principal_type from principal_removal order by created_at")
        assert list(kinds.scalars()) == ["team", "client"]
    assert UUID(begun.json["principal_id"]) == UUID(robot)
