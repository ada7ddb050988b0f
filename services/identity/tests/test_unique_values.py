"""Each unique value that a client can send: the second one is refused with a pointer."""

from typing import Any

import pytest
from fastapi import FastAPI

from crm_identity.app import SERVICE
from crm_kit.testing import Client
from crm_kit.testing.unique import met_by_clients

TWINS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "uq_api_client_name": ("api-clients", {"name": "Data warehouse"}, {"name": "Data warehouse"}),
    "uq_security_role_name": ("security-roles", {"name": "Readers"}, {"name": "Readers"}),
    "uq_team_name": ("teams", {"name": "Key accounts"}, {"name": "Key accounts"}),
    "uq_user_account_email": (
        "users",
        {"name": "Ann", "email": "ann@example.org"},
        {"name": "Bea", "email": "ANN@example.org"},
    ),
}


@pytest.mark.parametrize("key", TWINS)
async def test_a_second_one_is_told_with_its_place(client: Client, app: FastAPI, key: str) -> None:
    collection, first, second = TWINS[key]
    assert (await client.post(f"/api/v1/{collection}", first)).status == 201
    answer = await client.post(f"/api/v1/{collection}", second)
    assert (answer.status, answer.problem) == (409, "already-exists"), answer.body
    assert [error["pointer"] for error in answer.json["errors"]] == met_by_clients(SERVICE.entities, app.openapi())[key]


def test_all_that_a_client_can_send_twice_are_tried(app: FastAPI) -> None:
    # A new unit needs a parent, so a client cannot send a second root.
    assert {*TWINS, "uq_business_unit_root"} == met_by_clients(SERVICE.entities, app.openapi()).keys()
