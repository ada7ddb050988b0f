"""A user who owns records in two services is removed through the gateway."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.integration.suite import PATIENCE_SECONDS, Person

ANY = {"if-match": "*"}
PASSWORD = "correct horse battery staple"


async def hired(administrator: Person, **fields: Any) -> dict[str, Any]:
    body = {"email": f"{uuid4().hex}@example.org", "name": "Grace Hopper", "password": PASSWORD, **fields}
    return await administrator.send("POST", "/users", body, status=201)


async def given(administrator: Person, path: str, body: dict[str, Any], owner: str) -> str:
    """Create a record, assign it to a user whom the service has heard of, and return its path."""
    record = await administrator.send("POST", path, body, status=201)
    made = f"{path}/{record['id']}"
    await administrator.send("POST", f"{made}/assign", {"owner_type": "user", "owner_id": owner})
    return made


async def test_an_owner_leaves_and_another_gets_the_records(administrator: Person) -> None:
    leaving, heir, nobody = [await hired(administrator) for _ in range(3)]
    administrator.after = f"user/{leaving['id']}@1, user/{heir['id']}@1"
    lead = await given(administrator, "/leads", {"last_name": "Lovelace", "topic": "Card"}, leaving["id"])
    administrator.after = f"user/{leaving['id']}@1"
    task = await given(administrator, "/tasks", {"subject": "Call Ada"}, leaving["id"])
    administrator.after = ""

    refused = await administrator.send("DELETE", f"/users/{leaving['id']}", status=409, headers=ANY)
    assert refused["type"] == "/problems/owns-records"
    assert {part["service"]: part["records"] for part in refused["owned"]} == {"activities": 1, "sales": 1}
    assert (await administrator.send("GET", f"/users/{leaving['id']}"))["status"] == "active"
    await administrator.send("DELETE", f"/users/{nobody['id']}", status=204, headers=ANY)
    await administrator.send("GET", f"/users/{nobody['id']}", status=404)

    path = f"/users/{leaving['id']}?transfer_to={heir['id']}"
    removal = await administrator.send("DELETE", path, status=202, headers=ANY)
    assert (await administrator.send("GET", f"/users/{leaving['id']}"))["status"] == "disabled"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            progress = await administrator.send("GET", f"/principal-removals/{removal['id']}")
            moved = {part["service"]: part["moved"] for part in progress["services"]}
            if moved == {"activities": 1, "marketing": 0, "sales": 1, "service": 0}:
                break
            await asyncio.sleep(0.1)
    for record in (lead, task):
        found = await administrator.send("GET", record)
        assert (found["owner_id"], found["owner_name"]) == (heir["id"], "Grace Hopper")
