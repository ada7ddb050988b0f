"""Each unique value that a client can send: the second one is refused with a pointer."""

from fastapi import FastAPI

from crm_activities.app import SERVICE
from crm_kit.testing import Client
from crm_kit.testing.unique import met_by_clients

NAME = {"name": "site_visit", "labels": {"en": "Site visit"}, "values_schema": {"type": "object"}}
TWINS = {"uq_activity_type_name": ("/api/v1/activity-types", NAME)}


async def test_a_second_one_is_told_with_its_place(client: Client, app: FastAPI) -> None:
    pointers = met_by_clients(SERVICE.entities, app.openapi())
    for key, (path, body) in TWINS.items():
        assert (await client.post(path, body)).status == 201
        answer = await client.post(path, body)
        assert (answer.status, answer.problem) == (409, "already-exists"), answer.body
        assert [error["pointer"] for error in answer.json["errors"]] == pointers[key]


def test_all_that_a_client_can_send_twice_are_tried(app: FastAPI) -> None:
    assert TWINS.keys() == met_by_clients(SERVICE.entities, app.openapi()).keys()
