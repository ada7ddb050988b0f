"""API clients: their records, their secrets, and the tokens they get."""

import asyncio
from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID, uuid4

import aiohttp
import jwt
import pytest

from crm_identity.api_client.domain import LIFECYCLE
from crm_identity.business_unit.model import ROOT_ID
from crm_identity.security_role.domain import AUDITOR_ID
from crm_kit.access.privileges import Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, Client, announced

from .conftest import superseded

CLIENTS = "/api/v1/api-clients"
TOKEN = "/api/v1/auth/token"  # A path.


async def made(client: Client, **fields: Any) -> dict[str, Any]:
    answer = await client.post(CLIENTS, {"name": f"Warehouse {uuid4().hex}", **fields})
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


async def grant(client: Client, client_id: str, secret: str) -> Answer:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    return await client.as_token(None).request("POST", TOKEN, body=aiohttp.FormData(form))


async def grant_by_header(client: Client, credentials: str, **form: str) -> Answer:
    header = {"authorization": f"Basic {b64encode(credentials.encode()).decode()}"}
    body = aiohttp.FormData({"grant_type": "client_credentials", **form})
    return await client.as_token(None).request("POST", TOKEN, body=body, headers=header)


async def types(runtime: Runtime) -> list[str]:
    async with runtime.db.autocommit() as conn:
        return [event["type"].removeprefix("crm.identity.").removesuffix(".v1") for event in await announced(conn)]


async def test_a_client_is_created_read_listed_changed_and_deleted(
    client: Client, runtime: Runtime, erase: Any
) -> None:
    first = await client.post(CLIENTS, {"name": " Data warehouse "})
    assert (first.status, first.etag, first.headers["cache-control"]) == (201, '"1"', "no-store")
    assert (first.json["name"], first.json["business_unit_id"]) == ("Data warehouse", str(ROOT_ID))
    assert (first.json["status"], first.json["allowed_actions"]) == ("active", ["deactivate"])
    path = first.headers["location"]
    shown = {name: value for name, value in first.json.items() if name != "secret"}
    assert (await client.get(path)).json == shown
    assert (await client.get(f"{CLIENTS}?name=Data%20warehouse")).json["items"] == [shown]
    again = await client.post(CLIENTS, {"name": "Data warehouse"})
    assert (again.status, again.problem) == (409, "already-exists")
    changed = await client.patch(path, {"name": "Warehouse"}, etag='"1"')
    assert (changed.json["version"], changed.json["name"]) == (2, "Warehouse")
    await erase(path)
    assert [item["fact"] for item in (await client.get(f"{path}/history")).json["items"]] == [
        *("deleted", "updated", "created")
    ]
    assert await types(runtime) == [
        *("api_client.created", "api_client.updated", "principal_removal.created"),
        *("principal_removal.updated",) * 3,
        *("api_client.deleted", "access_change.created", "principal_removal.completed"),
    ]


async def test_a_client_gets_a_token_with_its_rights_and_no_session(client: Client) -> None:
    found = await made(client, role_ids=[str(AUDITOR_ID)])
    answer = await grant(client, found["id"], found["secret"])
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json.keys() == {"access_token", "token_type", "expires_in"}
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["kind"], claims["teams"]) == (found["id"], "client", [])
    assert (claims["bu"], claims["prv"]["lead"]) == (str(ROOT_ID), "04000")
    theirs = client.as_token(answer.json["access_token"])
    me = (await theirs.get("/api/v1/auth/me")).json
    assert (me["kind"], me["id"], me["name"], me["email"]) == ("client", found["id"], found["name"], None)
    assert (await theirs.get("/api/v1/users")).status == 200
    refused = await theirs.post("/api/v1/auth/password", {"current_password": "a", "new_password": "b" * 12})
    assert (refused.status, refused.problem) == (403, "forbidden")


async def test_the_secret_may_come_as_basic_form_encoded_as_the_rfc_says(client: Client) -> None:
    found = await made(client)
    assert (await grant_by_header(client, f"{found['id']}:{found['secret']}")).status == 200
    assert (await grant_by_header(client, f"{quote_plus(found['id'])}:{quote_plus(found['secret'])}")).status == 200
    both = await grant_by_header(client, f"{found['id']}:{found['secret']}", client_secret=found["secret"])
    assert (both.status, both.json["error"]) == (400, "invalid_request")


async def test_unknown_wrong_and_inactive_look_alike(client: Client) -> None:
    found, inactive = await made(client), await made(client)
    assert (await client.post(f"{CLIENTS}/{inactive['id']}/deactivate")).status == 200
    answers = [
        await grant(client, str(uuid4()), found["secret"]),
        await grant(client, "no id at all\x00", found["secret"]),
        await grant(client, found["id"], "crm_not_the_secret"),
        await grant(client, inactive["id"], inactive["secret"]),
        await grant_by_header(client, f"{found['id']}:wrong"),
        await grant_by_header(client, "no colon"),
        await grant_by_header(client, f"{found['id']}:{found['secret']}", client_id=str(uuid4())),
    ]
    for answer in answers:
        assert (answer.status, answer.problem, answer.json["error"]) == (401, "invalid-client", "invalid_client")
        assert answer.headers["www-authenticate"] == 'Basic realm="crm"'
        assert answer.headers["cache-control"] == "no-store"
    assert len({answer.json["error_description"] for answer in answers}) == 1
    assert (await grant(client, found["id"], "")).json["error"] == "invalid_request"


async def test_a_rotated_secret_ends_the_old_one_and_its_tokens(client: Client, runtime: Runtime) -> None:
    found = await made(client)
    rotated = await client.post(f"{CLIENTS}/{found['id']}/rotate-secret")
    assert (rotated.status, rotated.etag, rotated.headers["cache-control"]) == (200, '"2"', "no-store")
    assert rotated.json["secret"] != found["secret"]
    assert (await grant(client, found["id"], found["secret"])).status == 401
    assert (await grant(client, found["id"], rotated.json["secret"])).status == 200
    assert [who for who, _ in await superseded(runtime)] == [UUID(found["id"])]
    assert await types(runtime) == ["api_client.created", "api_client.updated", "access_change.created"]


async def test_a_deactivated_client_is_read_only_until_it_is_active_again(client: Client, runtime: Runtime) -> None:
    found = await made(client)
    path = f"{CLIENTS}/{found['id']}"
    off = await client.post(f"{path}/deactivate", {"reason": "Contract ended"})
    assert (off.json["status"], off.json["allowed_actions"]) == ("inactive", ["activate"])
    assert (await client.post(f"{path}/deactivate")).problem == "illegal-transition"
    assert (await client.patch(path, {"name": "Another"})).problem == "illegal-transition"
    assert (await client.post(f"{path}/activate")).json["status"] == "active"
    assert (await grant(client, found["id"], found["secret"])).status == 200
    async with runtime.db.autocommit() as conn:
        events = await announced(conn)
    [told] = [event for event in events if event["type"] == "crm.identity.api_client.deactivated.v1"]
    assert told["data"]["reason"] == "Contract ended"


def test_every_state_of_a_client_has_a_move() -> None:
    assert {state: LIFECYCLE.actions(state) for state in LIFECYCLE.states} == {
        "active/active": ["deactivate"],
        "inactive/inactive": ["activate"],
    }


async def test_secrets_are_kept_as_hashes_and_in_no_stored_answer(client: Client, runtime: Runtime) -> None:
    first = await client.post(CLIENTS, {"name": "Keyed"}, headers={"idempotency-key": "k1"})
    second = await client.post(f"{CLIENTS}/{first.json['id']}/rotate-secret", headers={"idempotency-key": "k2"})
    assert "idempotent-replayed" not in second.headers
    async with runtime.db.autocommit() as conn:
        kept = await conn.exec_driver_sql(
            "select convert_from(body, 'utf8') from outbox union all select record::text from audit"
            " union all select changes::text from audit union all select to_jsonb(i)::text from idempotency i"
            " union all select secret_hash from client_secret"
        )
        everything = " ".join(row or "" for row in kept.scalars())
    assert first.json["secret"] not in everything
    assert second.json["secret"] not in everything
    assert everything.count("$argon2id$") == 1


async def test_nobody_gives_a_client_more_than_they_hold(client: Client, client_for: Any) -> None:
    clerk = client_for(Principal(uuid4(), "user", ROOT_ID, privileges={"api_client": "44440", "user": "04000"}))
    assert (await clerk.post(CLIENTS, {"name": "Mighty", "role_ids": [str(AUDITOR_ID)]})).problem == "forbidden"
    mighty = await made(client, role_ids=[str(AUDITOR_ID)])
    assert (await clerk.post(f"{CLIENTS}/{mighty['id']}/rotate-secret")).problem == "forbidden"
    small = await made(clerk)
    assert (await clerk.patch(f"{CLIENTS}/{small['id']}", {"role_ids": [str(AUDITOR_ID)]})).problem == "forbidden"
    assert (await clerk.post(f"{CLIENTS}/{small['id']}/rotate-secret")).status == 200


async def test_what_changes_a_clients_rights_supersedes_its_tokens(
    client: Client, runtime: Runtime, founder: dict[str, Any]
) -> None:
    role = (await client.post("/api/v1/security-roles", {"name": "R", "privileges": {"lead": {"read": "user"}}})).json
    unit = (await client.post("/api/v1/business-units", {"name": "West", "parent_id": str(ROOT_ID)})).json
    found = await made(client, role_ids=[role["id"]], business_unit_id=unit["id"])
    path = f"{CLIENTS}/{found['id']}"
    role_path = f"/api/v1/security-roles/{role['id']}"
    await client.patch(path, {"name": "Only its name"})
    assert await superseded(runtime) == []
    assert (await client.patch(role_path, {"privileges": {"lead": {"read": "deep"}}})).status == 200
    assert (await client.delete(role_path)).problem == "in-use"
    assert (await client.delete(f"/api/v1/business-units/{unit['id']}")).problem == "in-use"
    assert (await client.patch(path, {"role_ids": [], "business_unit_id": str(ROOT_ID)})).status == 200
    assert [who for who, _ in await superseded(runtime)] == [UUID(found["id"])] * 2
    async with runtime.db.autocommit() as conn:
        kinds = await conn.exec_driver_sql("select p ->> 'type' from access_change, jsonb_array_elements(principals) p")
        assert set(kinds.scalars()) == {"client"}
    assert (await client.patch(path, {"role_ids": [str(uuid4())]})).problem == "unknown-reference"


@pytest.mark.parametrize("tries", [5])
async def test_a_secret_rotated_meanwhile_gives_no_token(client: Client, tries: int) -> None:
    """A grant checks the secret, and checks it again under the lock that a rotation takes."""
    found = await made(client)
    secret = found["secret"]
    for _ in range(tries):
        granted, rotated = await asyncio.gather(
            grant(client, found["id"], secret), client.post(f"{CLIENTS}/{found['id']}/rotate-secret")
        )
        assert rotated.status == 200
        assert granted.status in (200, 401)
        assert (await grant(client, found["id"], secret)).status == 401
        secret = rotated.json["secret"]
