"""Appointments over HTTP: shapes, times, attendees and their answers, conflicts, commands, access, lists, imports."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from crm_contracts.sales.account import AccountCreated
from crm_contracts.sales.contact import ContactCreated
from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, announced, counted, principal

PLACE = "/api/v1/appointments"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
NINE = {"scheduled_start_at": "2026-12-01T09:00:00Z", "scheduled_end_at": "2026-12-01T10:00:00Z"}
ADA = {"role": "required", "address": "ada@example.org", "name": "Ada Lovelace"}


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


async def made(client: Client, **fields: Any) -> dict[str, Any]:
    times = {} if fields.get("all_day") else NINE
    answer = await client.post(PLACE, {"subject": "Show the card", **times, **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def test_a_created_appointment_can_be_read_where_it_says(client: Client, runtime: Runtime) -> None:
    body = {"subject": " Show the card ", "location": " Room 2 ", **NINE, "start_zone": "Europe/Vienna"}
    answer = await client.post(PLACE, body | {"reminder_minutes": 15, "parties": [ADA]})
    assert (answer.status, answer.etag, answer.headers["crm-conflicts"]) == (201, '"1"', "0")
    found = answer.json
    assert (found["subject"], found["location"], found["status_reason"]) == ("Show the card", "Room 2", "busy")
    assert (found["due_at"], found["duration_minutes"], found["end_zone"]) == (
        NINE["scheduled_start_at"],
        60,
        "Europe/Vienna",
    )
    assert (found["remind_at"], found["sequence"]) == ("2026-12-01T08:45:00Z", 0)
    assert found["uid"] == f"{found['id']}@liaison"
    assert found["parties"] == [{**ADA, "party": None, "reply": "needs_action", "replied_at": None}]
    read = await client.get(answer.headers["location"])
    assert (read.status, read.json) == (200, found)
    async with runtime.db.autocommit() as conn:
        [event] = await announced(conn)
    assert event["data"]["record"] == {field: found[field] for field in event["data"]["record"]}


async def test_an_all_day_appointment_ends_on_its_last_day(client: Client) -> None:
    found = await made(client, all_day=True, start_date="2014-09-19", end_date="2014-09-22", start_zone="Europe/Vienna")
    assert (found["start_date"], found["end_date"]) == ("2014-09-19", "2014-09-22")
    assert (found["scheduled_start_at"], found["scheduled_end_at"]) == ("2014-09-18T22:00:00Z", "2014-09-22T22:00:00Z")


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"scheduled_end_at": None}, "/scheduled_end_at", "time-required"),
        ({"scheduled_end_at": "2026-12-01T08:00:00Z"}, "/scheduled_end_at", "end-before-start"),
        ({"start_zone": "Mars/Olympus"}, "/start_zone", "time-zone"),
        ({"reminder_minutes": -1}, "/reminder_minutes", None),
        ({"reminder_minutes": 5, "remind_at": "2026-12-01T08:00:00Z"}, "/remind_at", "contradicts-reminder"),
        ({"parties": [{"role": "to", "address": "ada@example.org"}]}, "/parties/0/role", None),
        ({"parties": [{"role": "required", "address": "nobody"}]}, "/parties/0/address", "email"),
        ({"parties": [{"role": "required"}]}, "/parties/0", "party-or-address"),
        ({"parties": [ADA | {"role": "organizer"}] * 2}, "/parties/1/role", "one-organizer"),
        ({"series_id": str(ME)}, "/series_id", None),
        ({"due_at": "2026-12-01T08:00:00Z"}, "/due_at", None),
        ({"show_as": "absent"}, "/show_as", None),
    ],
)
async def test_a_body_that_breaks_a_rule_is_told_where(
    client: Client, fields: dict[str, Any], pointer: str, code: str | None
) -> None:
    answer = await client.post(PLACE, {"subject": "x", **NINE, **fields})
    assert answer.status == 422, answer.body
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code


@pytest.mark.parametrize("shown", ["free", "tentative", "busy", "out_of_office"])
async def test_a_new_appointment_is_shown_as_it_says(client: Client, shown: str) -> None:
    assert (await made(client, show_as=shown))["status_reason"] == shown


async def test_another_time_asks_everybody_again_and_a_text_does_not(client: Client) -> None:
    parties = [ADA | {"role": "organizer", "reply": "accepted"}, {"address": "bo@example.org", "reply": "accepted"}]
    one = await made(client, parties=parties, reminder_minutes=15)
    assert [party["reply"] for party in one["parties"]] == ["accepted", "accepted"]
    assert one["parties"][1]["replied_at"] is not None
    path = f"{PLACE}/{one['id']}"
    texts = (await client.patch(path, {"description": "Bring the form", "start_zone": one["start_zone"]})).json
    assert (texts["sequence"], texts["parties"]) == (0, one["parties"])
    moved = (await client.post(f"{path}/reschedule", {"scheduled_start_at": "2026-12-02T09:00:00Z"})).json
    assert (moved["scheduled_end_at"], moved["sequence"]) == ("2026-12-02T10:00:00Z", 1)
    assert [party["reply"] for party in moved["parties"]] == ["accepted", "needs_action"]
    assert moved["remind_at"] == "2026-12-02T08:45:00Z"
    again = await client.post(f"{path}/reschedule", {"scheduled_start_at": "2026-12-02T09:00:00Z"})
    assert again.json["version"] == moved["version"]


async def test_who_stays_keeps_the_answer(client: Client) -> None:
    one = await made(client, parties=[ADA | {"reply": "declined"}])
    path = f"{PLACE}/{one['id']}"
    added = await client.patch(path, {"parties": [ADA, {"address": "bo@example.org"}]})
    assert [party["reply"] for party in added.json["parties"]] == ["declined", "needs_action"]
    assert added.json["parties"][0] == one["parties"][0]


async def test_who_is_busy_is_told_and_nothing_is_refused(client: Client, story: Any, hear: Any) -> None:
    ada, bo = story(owner=ME), story(owner=ME)
    await hear(*(one.tell(ContactCreated, {"full_name": "Ada", "status": "active"}) for one in (ada, bo)))
    there = [{"party": {"type": "contact", "id": str(one.id)}} for one in (ada, bo)]
    first = await made(client, parties=there)
    asked = {"party_ids": [str(ada.id), str(bo.id)]}

    async def busy(start: str, end: str, **more: Any) -> list[dict[str, Any]]:
        times = {"scheduled_start_at": f"2026-12-01T{start}:00Z", "scheduled_end_at": f"2026-12-01T{end}:00Z"}
        answer = await client.post(f"{PLACE}/conflicts", {**asked, **times, **more})
        assert answer.status == 200, answer.body
        return list(answer.json["items"])

    [found] = await busy("09:30", "11:00")
    assert (found["appointment_id"], found["party_ids"]) == (first["id"], sorted(asked["party_ids"]))
    assert await busy("10:00", "11:00") == await busy("08:00", "09:00") == []
    second = await client.post(PLACE, {"subject": "Again", **NINE, "parties": there[:1]})
    assert (second.status, second.headers["crm-conflicts"]) == (201, "1")
    [conflict] = (await client.get(f"{PLACE}/{second.json['id']}/conflicts")).json["items"]
    assert (conflict["appointment_id"], conflict["party_ids"]) == (first["id"], sorted([str(ME), str(ada.id)]))
    assert (await client.post(f"{PLACE}/{second.json['id']}/free")).status == 200
    declined = [there[0] | {"reply": "declined"}, there[1]]
    assert (await client.patch(f"{PLACE}/{first['id']}", {"parties": declined})).status == 200
    assert [one["party_ids"] for one in await busy("09:30", "11:00")] == [[str(bo.id)]]
    await client.post(f"{PLACE}/{first['id']}/cancel")
    assert await busy("09:30", "11:00") == []


async def test_of_an_appointment_that_you_may_not_read_you_learn_only_the_time(client: Client, client_for: Any) -> None:
    await made(client)
    stranger = client_for(principal(Depth.USER))
    [found] = (await stranger.post(f"{PLACE}/conflicts", {**NINE, "party_ids": [str(ME)]})).json["items"]
    assert (found["hidden"], found["appointment_id"], found["subject"]) == (True, None, None)
    assert found["scheduled_start_at"] == NINE["scheduled_start_at"]


async def test_the_times_of_people_are_found_by_an_index(runtime: Runtime) -> None:
    sql = (
        "explain select id from appointment where status in ('open', 'scheduled') and status_reason <> 'free'"
        " and tstzrange(scheduled_start_at, scheduled_end_at) && tstzrange(now(), now() + interval '1 hour')"
    )
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("set local enable_seqscan = off")
        plan = "\n".join(row[0] for row in await conn.exec_driver_sql(sql))
    assert "ix_appointment_reserved" in plan, plan


@pytest.mark.parametrize(
    ("command", "body", "state"),
    [
        ("free", None, "open/free"),
        ("tentative", None, "open/tentative"),
        ("confirm", {"reason": "out_of_office"}, "scheduled/out_of_office"),
        ("complete", None, "completed/completed"),
        ("cancel", None, "canceled/canceled"),
        ("reschedule", {"scheduled_start_at": "2026-12-03T09:00:00Z"}, "scheduled/busy"),
        ("snooze", {"until": "2096-12-01T09:00:00Z"}, "scheduled/busy"),
    ],
)
async def test_commands_answer_with_the_record_and_its_next_moves(
    client: Client, command: str, body: Any, state: str
) -> None:
    one = await made(client)
    moves = ["free", "tentative", "confirm", "complete", "reschedule", "snooze", "cancel", "assign"]
    assert one["allowed_actions"] == moves
    answer = await client.post(f"{PLACE}/{one['id']}/{command}", body)
    assert (answer.status, answer.etag) == (200, '"2"')
    assert f"{answer.json['status']}/{answer.json['status_reason']}" == state
    if "reopen" in answer.json["allowed_actions"]:
        assert (await client.patch(f"{PLACE}/{one['id']}", {"subject": "x"})).status == 409
        reopened = await client.post(f"{PLACE}/{one['id']}/reopen")
        assert (reopened.json["status_reason"], reopened.json["completed_at"]) == ("busy", None)


async def test_an_answer_that_is_given_again_warns_again(client: Client) -> None:
    await made(client)
    headers = {"idempotency-key": "once"}
    answers = [await client.post(PLACE, {"subject": "x", **NINE}, headers=headers) for _ in range(2)]
    assert [one.headers["crm-conflicts"] for one in answers] == ["1", "1"]
    assert answers[1].headers["idempotent-replayed"] == "true"


async def test_confirming_again_keeps_the_version(client: Client) -> None:
    one = await made(client)
    assert (await client.post(f"{PLACE}/{one['id']}/confirm")).json["version"] == 1


async def test_rows_of_others_do_not_exist_for_a_reader_of_his_own(client: Client, client_for: Any) -> None:
    path = f"{PLACE}/{(await made(client))['id']}"
    stranger = client_for(principal(Depth.USER))
    for answer in (
        await stranger.get(path),
        await stranger.get(f"{path}/conflicts"),
        await stranger.patch(path, {"subject": "x"}),
        await stranger.delete(path),
        await stranger.post(f"{path}/cancel"),
    ):
        assert answer.status == 404
    assert (await client.delete(path, etag='"1"')).status == 204


async def test_appointments_are_filtered_searched_and_sorted(client: Client, story: Any, hear: Any) -> None:
    account = story(owner=ME)
    await hear(account.tell(AccountCreated, {"name": "Engines Ltd", "status": "active"}))
    about = {"type": "account", "id": str(account.id)}
    await made(
        client, subject="Later", scheduled_start_at="2026-12-05T09:00:00Z", scheduled_end_at="2026-12-05T10:00:00Z"
    )
    await made(client, subject="Soon", location="Main Street", regarding=about, parties=[ADA])

    async def subjects(query: str) -> list[str]:
        answer = await client.get(f"{PLACE}?{query}")
        assert answer.status == 200, answer.body
        return [item["subject"] for item in answer.json["items"]]

    assert await subjects("sort=scheduled_start_at") == ["Soon", "Later"]
    assert await subjects("scheduled_end_at[gt]=2026-12-02T00:00:00Z&scheduled_start_at[lt]=2026-12-09T00:00:00Z") == [
        "Later"
    ]
    assert (
        await subjects("q=main") == await subjects("q=lovelace") == await subjects("all_day=false&q=soon") == ["Soon"]
    )
    assert await subjects(f"regarding.id={account.id}") == ["Soon"]
    timeline = (await client.get(f"/api/v1/timeline?regarding={account.id}")).json["items"]
    assert [item["title"] for item in timeline if item["kind"] == "activity"] == ["Soon"]


async def test_statements(client: Client, runtime: Runtime) -> None:
    one = await made(client)
    requests: dict[str, Callable[[], Awaitable[Any]]] = {
        "create": lambda: made(client),
        "read": lambda: client.get(f"{PLACE}/{one['id']}"),
    }
    found = {}
    for name, send in requests.items():
        await send()  # New connections look up types once.
        with counted(runtime.db) as found[name]:
            await send()
    assert {name: len(sent) for name, sent in found.items()} == {"create": 2, "read": 1}, found
