"""Tasks over HTTP: shapes, statuses, problems, conditions, access, statement counts, lists."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from crm_contracts.sales.account import AccountCreated, AccountDeactivated, AccountUpdated
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Client, counted, principal

TASKS = "/api/v1/tasks"
ME = UUID("01900000-0000-7000-8000-0000000000aa")


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def made(client: Client, **fields: Any) -> dict[str, Any]:
    answer = await client.post(TASKS, {"subject": "Call Ada", **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def test_a_created_task_can_be_read_where_it_says(client: Client, people: Any) -> None:
    await people.user("Grace Hopper", id=ME)
    answer = await client.post(TASKS, {"subject": " Call Ada ", "due_at": "2026-12-01T10:00:00+01:00", "category": " "})
    assert (answer.status, answer.etag) == (201, '"1"')
    assert answer.headers["crm-version"] == f"task/{answer.json['id']}@1"
    task = answer.json
    assert (task["subject"], task["due_at"], task["category"]) == ("Call Ada", "2026-12-01T09:00:00Z", None)
    assert (task["owner_name"], task["priority"], task["percent_complete"]) == ("Grace Hopper", "normal", 0)
    read = await client.get(answer.headers["location"])
    assert (read.status, read.json) == (200, task)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/subject", "missing"),
        ({"subject": " "}, "/subject", None),
        ({"subject": "x", "status": "completed"}, "/status", "read-only-field"),
        ({"subject": "x", "completed_at": "2026-12-01T09:00:00Z"}, "/completed_at", None),
        ({"subject": "x", "percent_complete": 101}, "/percent_complete", "percent"),
        ({"subject": "x", "due_at": "2026-12-01T09:00:00"}, "/due_at", "datetime"),
        ({"subject": "x", "priority": "urgent"}, "/priority", "enum"),
        ({"subject": "x", "regarding": {"type": "lead"}}, "/regarding/id", "missing"),
        ({"subject": "x", "regarding": {"type": "lead", "id": str(ME)}}, "/regarding", "unknown-reference"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_told_where(
    client: Client, body: Any, pointer: str, code: str | None
) -> None:
    answer = await client.post(TASKS, body)
    assert answer.status == 422
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code


async def test_a_reference_shows_the_current_name_of_its_record(client: Client, story: Any, hear: Any) -> None:
    account = story(owner=ME)
    await hear(account.tell(AccountCreated, {"name": "Engines Ltd", "status": "active"}))
    task = await made(client, regarding={"type": "account", "id": str(account.id), "name": "whatever"})
    assert task["regarding"] == {
        "type": "account",
        "id": str(account.id),
        "name": "Engines Ltd",
        "deleted": False,
    }
    await hear(account.tell(AccountUpdated, {"name": "Engines Inc"}))
    assert (await client.get(f"{TASKS}/{task['id']}")).json["regarding"]["name"] == "Engines Inc"


async def test_a_reference_that_stays_is_not_checked_again(client: Client, story: Any, hear: Any) -> None:
    account = story(owner=ME)
    regarding = {"type": "account", "id": str(account.id)}
    await hear(account.tell(AccountCreated, {"status": "active"}))
    task = await made(client, regarding=regarding)
    await hear(account.tell(AccountDeactivated, {"status": "inactive"}))
    kept = await client.patch(f"{TASKS}/{task['id']}", {"regarding": regarding, "category": "x"})
    assert (kept.status, kept.json["regarding"]["id"]) == (200, str(account.id))
    assert (await client.post(TASKS, {"subject": "x", "regarding": regarding})).problem == "inactive-reference"
    cleared = await client.patch(f"{TASKS}/{task['id']}", {"regarding": None})
    assert cleared.json["regarding"] is None


async def test_a_stale_edit_is_refused_and_a_missing_condition_too(client: Client) -> None:
    task = await made(client)
    path = f"{TASKS}/{task['id']}"
    assert (await client.patch(path, {"category": "a"}, etag='"1"')).etag == '"2"'
    assert (await client.patch(path, {"category": "b"}, etag='"1"')).status == 412
    assert (await client.patch(path, {"category": "b"}, etag=None)).status == 428
    assert (await client.delete(path, etag='"2"')).status == 204
    assert (await client.get(path)).status == 404


async def test_a_key_makes_one_task(client: Client) -> None:
    headers = {"idempotency-key": "once"}
    first = await client.post(TASKS, {"subject": "x"}, headers=headers)
    again = await client.post(TASKS, {"subject": "x"}, headers=headers)
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await client.post(TASKS, {"subject": "y"}, headers=headers)).status == 422


@pytest.mark.parametrize(
    ("command", "body"),
    [
        *((command, None) for command in ("start", "wait", "defer", "complete", "cancel")),
        ("reschedule", {"due_at": "2026-12-01T09:00:00Z"}),
        ("snooze", {"until": "2096-12-01T09:00:00Z"}),
    ],
)
async def test_commands_answer_with_the_record_and_its_next_moves(client: Client, command: str, body: Any) -> None:
    task = await made(client)
    assert command in task["allowed_actions"]
    answer = await client.post(f"{TASKS}/{task['id']}/{command}", body)
    assert (answer.status, answer.etag) == (200, '"2"')
    again = await client.post(f"{TASKS}/{task['id']}/{command}", body)
    assert (again.status == 200) == (command in answer.json["allowed_actions"])


async def test_an_illegal_move_is_told_what_is_allowed(client: Client) -> None:
    task = await made(client)
    await client.post(f"{TASKS}/{task['id']}/cancel")
    answer = await client.post(f"{TASKS}/{task['id']}/complete")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert answer.json["allowed"] == ["reopen"]


async def test_assigning_moves_owner_and_unit(client: Client, people: Any) -> None:
    unit = await people.unit("North")
    grace, gone = await people.user("Grace", unit=unit), await people.user("Gone", active=False)
    path = f"{TASKS}/{(await made(client))['id']}/assign"
    moved = (await client.post(path, {"owner_type": "user", "owner_id": grace})).json
    assert (moved["owner_name"], moved["business_unit_id"]) == ("Grace", str(unit))
    assert (await client.post(path, {"owner_type": "user", "owner_id": gone})).problem == "inactive-reference"
    assert (await client.post(path, {"owner_type": "user", "owner_id": new_id()})).problem == "unknown-reference"


async def test_rows_of_others_do_not_exist_for_a_reader_of_his_own(client: Client, client_for: Any) -> None:
    path = f"{TASKS}/{(await made(client))['id']}"
    stranger = client_for(principal(Depth.USER))
    for answer in (
        await stranger.get(path),
        await stranger.patch(path, {"subject": "x"}),
        await stranger.delete(path),
        await stranger.post(f"{path}/complete"),
        await stranger.get(f"{path}/history"),
    ):
        assert answer.status == 404
    reader = client_for(principal(Depth.USER, task="04000"))
    assert (await reader.get(path)).json["allowed_actions"] == []
    assert (await reader.post(f"{path}/complete")).status == 403
    assert (await client_for(principal(task=Depth.NONE)).get(path)).status == 403
    assert (await client_for(None).get(path)).status == 401


async def test_statements(client: Client, runtime: Runtime, people: Any, story: Any, hear: Any) -> None:
    await people.user("Grace Hopper", id=ME)
    account, days = story(owner=ME), iter(range(1, 9))
    await hear(account.tell(AccountCreated, {"status": "active"}))
    task = await made(client)
    regarding = {"type": "account", "id": str(account.id)}
    requests: dict[str, Callable[[], Awaitable[Any]]] = {
        "create": lambda: made(client),
        "about": lambda: made(client, regarding=regarding),
        "read": lambda: client.get(f"{TASKS}/{task['id']}"),
        "move": lambda: client.post(f"{TASKS}/{task['id']}/reschedule", {"due_at": f"2096-01-0{next(days)}T09:00:00Z"}),
        "timeline": lambda: client.get(f"/api/v1/timeline?regarding={account.id}"),
        "list": lambda: client.get("/api/v1/activities?type=task&status=open"),
    }
    found = {}
    for name, send in requests.items():
        await send()  # New connections look up types once.
        with counted(runtime.db) as found[name]:
            await send()
    # A reference adds one statement, and so does a list with references. BEGIN and COMMIT count.
    assert {name: len(sent) for name, sent in found.items()} == {
        "create": 1,
        "about": 2,
        "read": 1,
        "move": 4,
        "timeline": 2,
        "list": 2,
    }, found


async def test_tasks_are_filtered_searched_and_sorted(client: Client) -> None:
    for subject, due in (
        ("Call Ada", None),
        ("Write to Ada", "2026-12-02T09:00:00Z"),
        ("Rest", "2026-12-01T09:00:00Z"),
    ):
        await made(client, subject=subject, due_at=due)

    async def subjects(query: str) -> list[str]:
        answer = await client.get(f"{TASKS}?{query}")
        assert answer.status == 200, answer.body
        return [item["subject"] for item in answer.json["items"]]

    assert await subjects("sort=due_at") == ["Call Ada", "Rest", "Write to Ada"]
    assert await subjects("q=ada&sort=-subject") == ["Write to Ada", "Call Ada"]
    assert await subjects("due_at[lt]=2026-12-02T00:00:00Z") == ["Rest"]
    assert await subjects("due_at[is_null]=true") == ["Call Ada"]
    assert await subjects("status=completed") == []
    urgent = await made(client, subject="Now", priority="high")
    await made(client, subject="Some day", priority="low")
    assert (await subjects("sort=-priority"))[0] == "Now"
    assert (await subjects("sort=priority"))[0] == "Some day"
    page = (await client.get(f"{TASKS}?sort=-priority&limit=1")).json
    assert page["items"][0] == urgent
    following = (await client.get(f"{TASKS}?sort=-priority&limit=4&after={page['next']}")).json
    assert ([item["priority"] for item in following["items"]], following["next"]) == (["normal"] * 3 + ["low"], None)
    assert (await client.get(f"{TASKS}?nonsense=1")).problem == "invalid-filter"
