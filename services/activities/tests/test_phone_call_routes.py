"""Phone calls over HTTP: shapes, numbers, parties, problems, conditions, access, statement counts, lists."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from crm_contracts.sales.account import AccountCreated, AccountDeactivated
from crm_contracts.sales.contact import ContactCreated, ContactDeleted, ContactUpdated
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.store.record import new_id
from crm_kit.testing import Client, announced, counted, principal

CALLS = "/api/v1/phone-calls"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
NUMBER = "+491701234567"


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def made(client: Client, **fields: Any) -> dict[str, Any]:
    answer = await client.post(CALLS, {"subject": "Offer the card", **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def test_a_created_call_can_be_read_where_it_says(client: Client, people: Any) -> None:
    await people.user("Grace Hopper", id=ME)
    body = {
        "subject": " Offer the card ",
        "phone_number": "+49 170 123 45 67",
        "started_at": "2026-12-01T10:00:00+01:00",
        "ended_at": "2026-12-01T10:11:31+01:00",
        "outcome": " ",
    }
    answer = await client.post(CALLS, body)
    assert (answer.status, answer.etag) == (201, '"1"')
    assert answer.headers["crm-version"] == f"phone_call/{answer.json['id']}@1"
    call = answer.json
    assert (call["subject"], call["phone_number"], call["outcome"]) == ("Offer the card", NUMBER, None)
    assert (call["started_at"], call["duration_minutes"]) == ("2026-12-01T09:00:00Z", 12)
    assert (call["owner_name"], call["direction"], call["status_reason"]) == ("Grace Hopper", "outgoing", "open")
    read = await client.get(answer.headers["location"])
    assert (read.status, read.json) == (200, call)


PARTY = {"role": "to", "address": NUMBER}


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/subject", "missing"),
        ({"subject": "x", "status_reason": "made"}, "/status_reason", "read-only-field"),
        ({"subject": "x", "direction": "sideways"}, "/direction", "enum"),
        ({"subject": "x", "phone_number": "123"}, "/phone_number", "invalid-phone"),
        ({"subject": "x", "duration_minutes": -1}, "/duration_minutes", None),
        ({"subject": "x", "left_voicemail": "yes"}, "/left_voicemail", None),
        ({"subject": "x", "parties": None}, "/parties", None),
        ({"subject": "x", "parties": [PARTY, {"role": "to"}]}, "/parties/1", "party-or-address"),
        ({"subject": "x", "parties": [{"role": "cc", "address": NUMBER}]}, "/parties/0/role", None),
        ({"subject": "x", "parties": [PARTY | {"address": "123"}]}, "/parties/0/address", "invalid-phone"),
        (
            {"subject": "x", "parties": [{"role": "to", "party": {"type": "case", "id": str(ME)}}]},
            *("/parties/0/party/type", None),
        ),
        (
            {"subject": "x", "parties": [PARTY, {"role": "to", "party": {"type": "lead", "id": str(ME)}}]},
            *("/parties/1/party", "unknown-reference"),
        ),
        (
            {"subject": "x", "started_at": "2026-12-01T09:00:00Z", "ended_at": "2026-12-01T08:59:59Z"},
            *("/ended_at", "end-before-start"),
        ),
        (
            {"subject": "x", "started_at": "0001-01-01T00:00:00Z", "ended_at": "9999-12-31T00:00:00Z"},
            *("/ended_at", "too-long"),
        ),
    ],
)
async def test_a_body_that_breaks_a_rule_is_told_where(
    client: Client, body: Any, pointer: str, code: str | None
) -> None:
    answer = await client.post(CALLS, body)
    assert answer.status == 422
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code


async def test_parties_are_records_or_numbers_with_their_names(client: Client, story: Any, hear: Any) -> None:
    ada = story(owner=ME)
    await hear(ada.tell(ContactCreated, {"full_name": "Ada Lovelace", "status": "active"}))
    party = {"type": "contact", "id": str(ada.id)}
    call = await made(
        client,
        parties=[
            {"role": "from", "address": "+49 30 1234567", "name": "Front desk"},
            {"role": "to", "party": party, "address": NUMBER},
        ],
    )
    assert call["parties"] == [
        {"role": "from", "party": None, "address": "+49301234567", "name": "Front desk"},
        {
            "role": "to",
            "party": {**party, "name": "Ada Lovelace", "deleted": False},
            "address": NUMBER,
            "name": "Ada Lovelace",
        },
    ]
    back = await client.patch(f"{CALLS}/{call['id']}", {"parties": call["parties"]})
    assert (back.status, back.etag) == (200, '"1"')


async def test_a_party_that_was_deleted_says_so_and_keeps_its_name(client: Client, story: Any, hear: Any) -> None:
    ada = story(owner=ME)
    await hear(ada.tell(ContactCreated, {"full_name": "Ada Lovelace", "status": "active"}))
    party = {"type": "contact", "id": str(ada.id)}
    call = await made(client, parties=[{"role": "to", "party": party}], regarding=party)
    await hear(ada.tell(ContactDeleted, {"full_name": "Ada Lovelace", "status": "active"}))
    left = {**party, "name": "Ada Lovelace", "deleted": True}
    read = (await client.get(f"{CALLS}/{call['id']}")).json
    assert (read["regarding"], read["parties"][0]["party"]) == (left, left)
    [listed] = (await client.get(CALLS)).json["items"]
    assert listed["parties"] == read["parties"]
    edited = await client.patch(f"{CALLS}/{call['id']}", {"parties": read["parties"]})
    assert (edited.status, edited.json["parties"]) == (200, read["parties"])


async def test_who_takes_part_already_is_not_checked_again(client: Client, story: Any, hear: Any) -> None:
    ada = story(owner=ME)
    await hear(ada.tell(ContactCreated, {"full_name": "Ada Lovelace", "status": "active"}))
    party = {"role": "to", "party": {"type": "contact", "id": str(ada.id)}}
    call = await made(client, parties=[party])
    await hear(ada.tell(ContactUpdated, {"full_name": "Ada King", "status": "inactive"}))
    kept = await client.patch(f"{CALLS}/{call['id']}", {"parties": [party, {"role": "from", "address": NUMBER}]})
    assert [one["name"] for one in kept.json["parties"]] == ["Ada Lovelace", None]
    refused = await client.post(CALLS, {"subject": "x", "parties": [party]})
    assert (refused.status, refused.problem) == (422, "inactive-reference")


async def test_parties_travel_in_the_event(client: Client, runtime: Runtime) -> None:
    call = await made(client, parties=[{**PARTY, "name": "Ada Lovelace"}])
    async with runtime.db.autocommit() as conn:
        [event] = await announced(conn)
    assert event["data"]["record"]["parties"] == call["parties"]
    assert event["data"]["record"] == {field: call[field] for field in event["data"]["record"]}


async def test_a_reference_that_stays_is_not_checked_again(client: Client, story: Any, hear: Any) -> None:
    account = story(owner=ME)
    regarding = {"type": "account", "id": str(account.id)}
    await hear(account.tell(AccountCreated, {"status": "active"}))
    call = await made(client, regarding=regarding)
    await hear(account.tell(AccountDeactivated, {"status": "inactive"}))
    kept = await client.patch(f"{CALLS}/{call['id']}", {"regarding": regarding, "outcome": "x"})
    assert (kept.status, kept.json["regarding"]["id"]) == (200, str(account.id))
    assert (await client.post(CALLS, {"subject": "x", "regarding": regarding})).problem == "inactive-reference"


async def test_a_stale_edit_is_refused_and_a_missing_condition_too(client: Client) -> None:
    path = f"{CALLS}/{(await made(client))['id']}"
    assert (await client.patch(path, {"outcome": "a"}, etag='"1"')).etag == '"2"'
    assert (await client.patch(path, {"outcome": "b"}, etag='"1"')).status == 412
    assert (await client.patch(path, {"outcome": "b"}, etag=None)).status == 428
    assert (await client.delete(path, etag='"2"')).status == 204
    assert (await client.get(path)).status == 404


@pytest.mark.parametrize(
    ("command", "body"),
    [
        ("complete", None),
        ("complete", {"outcome": "Interested", "duration_minutes": 3}),
        ("cancel", None),
        ("reschedule", {"due_at": "2026-12-01T09:00:00Z"}),
        ("snooze", {"until": "2096-12-01T09:00:00Z"}),
    ],
)
async def test_commands_answer_with_the_record_and_its_next_moves(client: Client, command: str, body: Any) -> None:
    call = await made(client)
    assert call["allowed_actions"] == ["complete", "reschedule", "snooze", "cancel", "assign"]
    answer = await client.post(f"{CALLS}/{call['id']}/{command}", body)
    assert (answer.status, answer.etag) == (200, '"2"')
    again = await client.post(f"{CALLS}/{call['id']}/{command}", body)
    assert (again.status == 200) == (command in answer.json["allowed_actions"])
    if "reopen" in answer.json["allowed_actions"]:
        reopened = await client.post(f"{CALLS}/{call['id']}/reopen")
        assert (reopened.json["status"], reopened.json["completed_at"]) == ("open", None)


async def test_a_key_completes_once(client: Client) -> None:
    path = f"{CALLS}/{(await made(client))['id']}/complete"
    headers = {"idempotency-key": "once"}
    first = await client.post(path, {"outcome": "Interested"}, headers=headers)
    again = await client.post(path, {"outcome": "Interested"}, headers=headers)
    assert (first.status, again.body, again.headers["idempotent-replayed"]) == (200, first.body, "true")
    assert (await client.post(path, {"outcome": "Interested"})).problem == "illegal-transition"


async def test_assigning_moves_owner_and_unit(client: Client, people: Any) -> None:
    unit = await people.unit("North")
    grace = await people.user("Grace", unit=unit)
    path = f"{CALLS}/{(await made(client))['id']}/assign"
    moved = (await client.post(path, {"owner_type": "user", "owner_id": grace})).json
    assert (moved["owner_name"], moved["business_unit_id"]) == ("Grace", str(unit))
    assert (await client.post(path, {"owner_type": "user", "owner_id": new_id()})).problem == "unknown-reference"


async def test_rows_of_others_do_not_exist_for_a_reader_of_his_own(client: Client, client_for: Any) -> None:
    path = f"{CALLS}/{(await made(client))['id']}"
    stranger = client_for(principal(Depth.USER))
    for answer in (
        await stranger.get(path),
        await stranger.patch(path, {"subject": "x"}),
        await stranger.delete(path),
        await stranger.post(f"{path}/complete"),
        await stranger.get(f"{path}/history"),
    ):
        assert answer.status == 404
    reader = client_for(principal(Depth.USER, phone_call="04000"))
    assert (await reader.get(path)).json["allowed_actions"] == []
    assert (await reader.post(f"{path}/complete")).status == 403
    assert (await client_for(principal(phone_call=Depth.NONE)).get(path)).status == 403
    assert (await client_for(None).get(path)).status == 401


async def test_history_says_who_changed_what(client: Client) -> None:
    call = await made(client)
    await client.patch(f"{CALLS}/{call['id']}", {"outcome": "Interested"})
    [changed, created] = (await client.get(f"{CALLS}/{call['id']}/history")).json["items"]
    assert (created["version"], changed["version"]) == (1, 2)
    assert changed["changes"]["outcome"] == {"old": None, "new": "Interested"}


async def test_statements(client: Client, runtime: Runtime, people: Any, story: Any, hear: Any) -> None:
    await people.user("Grace Hopper", id=ME)
    cast = [story(owner=ME) for _ in range(3)]
    await hear(*(one.tell(ContactCreated, {"status": "active"}) for one in cast))
    parties = [{"role": "to", "party": {"type": "contact", "id": str(one.id)}} for one in cast]
    call = await made(client)
    outcomes = iter(range(9))
    requests: dict[str, Callable[[], Awaitable[Any]]] = {
        "create": lambda: made(client),
        "create with three parties": lambda: made(client, parties=parties),
        "read": lambda: client.get(f"{CALLS}/{call['id']}"),
        "edit": lambda: client.patch(f"{CALLS}/{call['id']}", {"outcome": f"{next(outcomes)}"}),
    }
    found = {}
    for name, send in requests.items():
        await send()  # New connections look up types once.
        with counted(runtime.db) as found[name]:
            await send()
    assert {name: len(sent) for name, sent in found.items()} == {
        "create": 1,
        "create with three parties": 2,
        "read": 1,
        "edit": 4,
    }, found


async def test_calls_are_filtered_searched_and_sorted(client: Client) -> None:
    await made(client, subject="Offer", phone_number=NUMBER, direction="incoming", started_at="2026-12-01T09:00:00Z")
    await made(client, subject="Ask", outcome="Nobody there", started_at="2026-12-02T09:00:00Z", left_voicemail=True)
    await made(client, subject="Remind", priority="high", duration_minutes=30)

    async def subjects(query: str) -> list[str]:
        answer = await client.get(f"{CALLS}?{query}")
        assert answer.status == 200, answer.body
        return [item["subject"] for item in answer.json["items"]]

    assert await subjects("sort=started_at") == ["Remind", "Offer", "Ask"]
    assert await subjects("sort=-started_at") == ["Ask", "Offer", "Remind"]
    assert await subjects("sort=-priority&limit=1") == ["Remind"]
    assert await subjects("q=nobody") == ["Ask"]
    assert await subjects("q=1701234") == ["Offer"]
    assert await subjects("phone_number=%2B491701234567") == ["Offer"]
    assert await subjects("direction=incoming") == ["Offer"]
    assert await subjects("left_voicemail=true") == ["Ask"]
    assert await subjects("duration_minutes[gte]=30") == ["Remind"]
    assert await subjects("status_reason=made") == []
    page = (await client.get(f"{CALLS}?sort=started_at&limit=1")).json
    following = (await client.get(f"{CALLS}?sort=started_at&limit=5&after={page['next']}")).json
    assert [item["subject"] for item in following["items"]] == ["Offer", "Ask"]
    assert (await client.get(f"{CALLS}?nonsense=1")).problem == "invalid-filter"
