"""Series over HTTP: expansion, exceptions, changes of one, of this and following and of all, ends, deletion, access."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from crm_activities.worker import TIMERS
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.events.timers import TimerLoop
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, announced, principal

PLACE, ONES = "/api/v1/recurring-appointments", "/api/v1/appointments"
ME = UUID("01900000-0000-7000-8000-0000000000aa")


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


def soon(days: int = 7) -> datetime:
    """Nine o'clock some days ahead, in UTC."""
    return (clock.now() + timedelta(days=days)).replace(hour=9, minute=0, second=0, microsecond=0)


async def made(client: Client, rule: str = "FREQ=DAILY;COUNT=12", **fields: Any) -> dict[str, Any]:
    start = fields.pop("start", soon())
    body = {"subject": "Review", "start_zone": "UTC", "rule": rule, "scheduled_start_at": start.isoformat()}
    answer = await client.post(PLACE, {**body, "scheduled_end_at": (start + timedelta(hours=1)).isoformat(), **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def ones(client: Client, series: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    """The occurrences of a series by their start."""
    answer = await client.get(f"{ONES}?series_id={series['id']}&sort=scheduled_start_at&limit=200{query}")
    assert answer.status == 200, answer.body
    return list(answer.json["items"])


async def test_the_first_occurrences_are_there_at_once_and_the_rest_by_the_timer(
    client: Client, runtime: Runtime
) -> None:
    series = await made(client, location="Room 2", reminder_minutes=15)
    first = await ones(client, series)
    assert (len(first), first[0]["scheduled_start_at"]) == (10, series["scheduled_start_at"])
    assert {(one["uid"], one["subject"], one["location"], one["status_reason"]) for one in first} == {
        (series["uid"], "Review", "Room 2", "busy")
    }
    assert all(one["remind_at"] is not None and one["occurrence_at"] == one["scheduled_start_at"] for one in first)
    assert series["rule"].startswith("FREQ=DAILY;UNTIL=")
    loop = TimerLoop(TIMERS, runtime)
    assert await loop.fire_due() == 1
    assert await loop.fire_due() == 0
    assert len(await ones(client, series)) == 12
    async with runtime.db.autocommit() as conn:
        told = [event for event in await announced(conn) if event["type"].endswith(".expanded.v1")]
    assert [event["data"]["made"] for event in told] == [2]


async def test_an_endless_series_is_made_up_to_a_window(client: Client, runtime: Runtime) -> None:
    series = await made(client, "FREQ=WEEKLY")
    loop = TimerLoop(TIMERS, runtime)
    while await loop.fire_due():
        continue
    found = await ones(client, series)
    latest = datetime.fromisoformat(found[-1]["scheduled_start_at"])
    assert timedelta(days=170) < latest - clock.now() <= timedelta(days=180)


async def test_one_occurrence_is_changed_by_itself(client: Client) -> None:
    series = await made(client)
    second = (await ones(client, series))[1]
    moved = soon(30)
    answer = await client.post(f"{ONES}/{second['id']}/reschedule", {"scheduled_start_at": moved.isoformat()})
    assert (answer.json["occurrence_changed"], answer.json["occurrence_at"]) == (True, second["occurrence_at"])
    day = "&scheduled_end_at[gt]={}&scheduled_start_at[lt]={}"
    old = datetime.fromisoformat(second["occurrence_at"])
    there = day.format(
        (old).isoformat().replace("+", "%2B"), (old + timedelta(hours=1)).isoformat().replace("+", "%2B")
    )
    assert await ones(client, series, there) == []
    patched = await client.patch(f"{PLACE}/{series['id']}", {"location": "Room 3"})
    assert patched.status == 200, patched.body
    assert {one["location"] for one in await ones(client, series) if not one["occurrence_changed"]} == {"Room 3"}
    assert [one["location"] for one in await ones(client, series) if one["occurrence_changed"]] == [None]


async def test_a_deleted_occurrence_is_not_made_again(client: Client, runtime: Runtime) -> None:
    series = await made(client)
    second = (await ones(client, series))[1]
    assert (await client.delete(f"{ONES}/{second['id']}")).status == 204
    now = (await client.get(f"{PLACE}/{series['id']}")).json
    assert now["exceptions"] == [second["occurrence_at"]]
    await client.patch(f"{PLACE}/{series['id']}", {"scheduled_end_at": (soon() + timedelta(hours=2)).isoformat()})
    await TimerLoop(TIMERS, runtime).fire_due()
    found = await ones(client, series)
    assert (len(found), {one["duration_minutes"] for one in found}) == (11, {120})
    assert second["occurrence_at"] not in [one["occurrence_at"] for one in found]


async def test_all_move_with_their_rule_and_keep_their_ids(client: Client) -> None:
    start = soon()
    weekday = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
    series = await made(client, f"FREQ=WEEKLY;BYDAY={weekday[start.weekday()]};COUNT=4", start=start)
    before = await ones(client, series)
    later = start + timedelta(hours=1)
    answer = await client.patch(f"{PLACE}/{series['id']}", {"scheduled_start_at": later.isoformat()})
    assert (answer.status, answer.json["sequence"]) == (200, 1)
    found = await ones(client, series)
    assert [datetime.fromisoformat(one["scheduled_start_at"]).hour for one in found] == [10] * 4
    assert [one["id"] for one in found] == [one["id"] for one in before]
    moved = start + timedelta(days=1)
    ends = {"scheduled_start_at": moved.isoformat(), "rule": f"FREQ=WEEKLY;BYDAY={weekday[moved.weekday()]};COUNT=4"}
    assert (await client.patch(f"{PLACE}/{series['id']}", ends)).status == 200
    assert [one["scheduled_start_at"][:10] for one in await ones(client, series)] == [
        f"{moved + timedelta(days=7 * n):%Y-%m-%d}" for n in range(4)
    ]


async def exceptional(client: Client, series: Any) -> list[Any]:
    """Delete the third occurrence, cancel the fourth, and move the fifth to another hour. Return all that were there."""
    found = await ones(client, series)
    assert (await client.delete(f"{ONES}/{found[2]['id']}")).status == 204
    assert (await client.post(f"{ONES}/{found[3]['id']}/cancel")).status == 200
    at = datetime.fromisoformat(found[4]["scheduled_start_at"]) + timedelta(hours=5)
    moved = {"scheduled_start_at": at.isoformat(), "scheduled_end_at": (at + timedelta(hours=1)).isoformat()}
    assert (await client.patch(f"{ONES}/{found[4]['id']}", moved)).status == 200
    return found


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(days=1)])
async def test_a_series_that_moves_takes_its_exceptions_along(client: Client, by: timedelta) -> None:
    start = soon()
    series = await made(client, "FREQ=DAILY;COUNT=8", start=start)
    before = await exceptional(client, series)
    answer = await client.patch(f"{PLACE}/{series['id']}", {"scheduled_start_at": (start + by).isoformat()})
    assert answer.status == 200, answer.body
    found = {one["id"]: one for one in await ones(client, series)}
    assert found.keys() == {one["id"] for one in before} - {before[2]["id"]}
    for number, old in enumerate(before):
        if number == 2:
            continue
        one, was = found[old["id"]], datetime.fromisoformat(old["scheduled_start_at"])
        wanted = {3: was, 4: was + timedelta(hours=5)}.get(number, was + by)
        assert datetime.fromisoformat(one["scheduled_start_at"]) == wanted, number
        assert datetime.fromisoformat(one["occurrence_at"]) == was + by
    assert found[before[3]["id"]]["status"] == "canceled"


async def test_a_part_of_a_series_repeats_nothing_that_was_deleted_or_changed(client: Client) -> None:
    series = await made(client, "FREQ=DAILY;COUNT=8")
    before = await exceptional(client, series)
    body = {"occurrence_at": before[1]["occurrence_at"], "location": "Room 4"}
    answer = await client.post(f"{PLACE}/{series['id']}/split", body)
    assert answer.status == 201, answer.body
    following = [(one["id"], one["scheduled_start_at"]) for one in await ones(client, answer.json)]
    planned = [one for number, one in enumerate(before) if number in (1, 5, 6, 7)]
    assert following == [(one["id"], one["scheduled_start_at"]) for one in planned]
    left = [one["id"] for one in await ones(client, series)]
    assert left == [before[0]["id"], before[3]["id"], before[4]["id"]]


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00Z", "1899-12-31T00:00:00Z", "2020-01-01T09:00:00Z"])
async def test_a_series_that_began_long_ago_is_refused(client: Client, start: str) -> None:
    body = {"subject": "Meeting", "rule": "FREQ=DAILY", "start_zone": "Asia/Tokyo"}
    answer = await client.post(PLACE, body | {"scheduled_start_at": start, "scheduled_end_at": start})
    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/scheduled_start_at"), answer.body


async def test_this_and_following_become_a_series_of_their_own(client: Client) -> None:
    start = soon()
    weekday = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
    series = await made(client, f"FREQ=WEEKLY;BYDAY={weekday[start.weekday()]}", start=start)
    before = await ones(client, series)
    third = before[2]
    note = {"text": "Bring the contract", "regarding": {"type": "appointment", "id": before[3]["id"]}}
    written = await client.post("/api/v1/notes", note)
    assert written.status == 201, written.body
    at = datetime.fromisoformat(third["occurrence_at"])
    earlier = at - timedelta(days=1)
    body = {"occurrence_at": third["occurrence_at"], "scheduled_start_at": earlier.isoformat(), "location": "Room 4"}
    answer = await client.post(f"{PLACE}/{series['id']}/split", body)
    assert answer.status == 201, answer.body
    assert answer.json["rule"] == f"FREQ=WEEKLY;BYDAY={weekday[earlier.weekday()]}"
    assert len(await ones(client, series)) == 2
    following = await ones(client, answer.json)
    assert [one["scheduled_start_at"][:10] for one in following[:2]] == [
        f"{earlier:%Y-%m-%d}",
        f"{earlier + timedelta(days=7):%Y-%m-%d}",
    ]
    assert {one["location"] for one in following} == {"Room 4"}
    # They are the appointments that were planned, with their ids and what belongs to them.
    assert [one["id"] for one in following[: len(before) - 2]] == [one["id"] for one in before[2:]]
    assert {(one["series_id"], one["uid"]) for one in following} == {(answer.json["id"], answer.json["uid"])}
    assert (await client.get(f"/api/v1/notes/{written.json['id']}")).status == 200
    first = await client.post(f"{PLACE}/{series['id']}/split", {"occurrence_at": series["scheduled_start_at"]})
    assert (first.status, first.problem) == (422, "first-occurrence")
    none = await client.post(f"{PLACE}/{series['id']}/split", {"occurrence_at": soon(400).isoformat()})
    assert (none.status, none.problem) == (422, "no-such-occurrence")


async def test_another_rule_keeps_as_many_appointments_as_it_has_places(client: Client) -> None:
    series = await made(client, "FREQ=DAILY;COUNT=7")
    before = await exceptional(client, series)
    note = {"text": "Bring the contract", "regarding": {"type": "appointment", "id": before[6]["id"]}}
    written = await client.post("/api/v1/notes", note)
    answer = await client.patch(f"{PLACE}/{series['id']}", {"rule": "FREQ=DAILY;INTERVAL=5;COUNT=2"})
    assert answer.status == 200, answer.body
    start = datetime.fromisoformat(series["scheduled_start_at"])
    planned = [
        one for one in await ones(client, series) if one["status"] == "scheduled" and not one["occurrence_changed"]
    ]
    assert [(one["id"], datetime.fromisoformat(one["scheduled_start_at"]) - start) for one in planned] == [
        (before[0]["id"], timedelta(0)),
        (before[5]["id"], timedelta(days=5)),
    ]
    # The second and the last have no place. The last has a note, so it stays, by itself.
    assert (await client.get(f"{ONES}/{before[1]['id']}")).status == 404
    alone = (await client.get(f"{ONES}/{before[6]['id']}")).json
    assert (alone["series_id"], alone["uid"], alone["scheduled_start_at"]) == (
        None,
        f"{alone['id']}@liaison",
        before[6]["scheduled_start_at"],
    )
    assert (await client.get(f"/api/v1/notes/{written.json['id']}")).status == 200


@pytest.mark.parametrize("days", [0, -1, -3])
async def test_a_part_of_a_monthly_series_keeps_its_appointments(client: Client, days: int) -> None:
    """On the 31st, months without that day are skipped. The part that moves to another day has all months."""
    day = {"all_day": True, "start_date": f"{datetime.now(UTC).year + 1}-01-31", "start_zone": "Europe/Vienna"}
    series = (await client.post(PLACE, {"subject": "Close the month", "rule": "FREQ=MONTHLY;COUNT=9", **day})).json
    before = await ones(client, series)
    assert len(before) >= 2
    start = datetime.fromisoformat(f"{before[1]['start_date']}T00:00:00") + timedelta(days=days)
    body = {"occurrence_at": before[1]["occurrence_at"], "start_date": f"{start:%Y-%m-%d}"}
    answer = await client.post(f"{PLACE}/{series['id']}/split", body)
    assert answer.status == 201, answer.body
    following = await ones(client, answer.json)
    assert [one["id"] for one in following[: len(before) - 1]] == [one["id"] for one in before[1:]]
    assert following[0]["start_date"] == f"{start:%Y-%m-%d}"
    assert [one["id"] for one in await ones(client, series)] == [before[0]["id"]]


async def test_ending_and_deleting_touch_only_the_series(client: Client) -> None:
    series, other = await made(client), await made(client)
    single = await client.post(ONES, {"subject": "Review", **times(soon())})
    third = (await ones(client, series))[2]
    ended = await client.post(f"{PLACE}/{series['id']}/end-series", {"at": third["occurrence_at"]})
    assert (ended.status, ended.json["status"], ended.json["allowed_actions"]) == (200, "ended", ["assign"])
    assert len(await ones(client, series)) == 2
    assert (await client.patch(f"{PLACE}/{series['id']}", {"subject": "x"})).status == 409
    before = (await client.get(f"{ONES}?count=exact")).json["count"]
    assert (await client.delete(f"{PLACE}/{series['id']}")).status == 204
    assert (await client.get(f"{ONES}?count=exact")).json["count"] == before - 2
    assert len(await ones(client, other)) == 10
    assert (await client.get(f"{ONES}/{single.json['id']}")).status == 200


def times(start: datetime) -> dict[str, str]:
    return {"scheduled_start_at": start.isoformat(), "scheduled_end_at": (start + timedelta(hours=1)).isoformat()}


async def test_a_series_cannot_be_claimed(client: Client) -> None:
    series, single = await made(client), await client.post(ONES, {"subject": "x", **times(soon())})
    forged = await client.patch(f"{ONES}/{single.json['id']}", {"series_id": series["id"]})
    assert (forged.status, forged.json["errors"][0]["pointer"]) == (422, "/series_id")


@pytest.mark.parametrize(
    ("rule", "code"),
    [("FREQ=WEEKLY;BYDAY=XX", "invalid-rule"), ("FREQ=MONTHLY;BYMONTHDAY=30;BYMONTH=2", "invalid-rule")],
)
async def test_a_rule_that_does_not_produce_the_start_is_refused(client: Client, rule: str, code: str) -> None:
    answer = await client.post(PLACE, {"subject": "x", "rule": rule, **times(soon())})
    assert (answer.status, answer.problem, answer.json["errors"][0]["pointer"]) == (422, code, "/rule")


async def test_a_rule_says_that_it_skips_months(client: Client) -> None:
    day = {"all_day": True, "start_date": "2096-01-31", "start_zone": "Europe/Vienna"}
    answer = await client.post(PLACE, {"subject": "Close the month", "rule": "FREQ=MONTHLY;COUNT=5", **day})
    assert (answer.status, answer.json["skips"], answer.json["rule"]) == (201, True, "FREQ=MONTHLY;UNTIL=20960831")


async def test_zones_of_start_and_end_survive(client: Client) -> None:
    start = soon()
    series = await made(
        client, start=start, start_zone="Europe/Berlin", end_zone="America/New_York", rule="FREQ=DAILY;COUNT=3"
    )
    await client.patch(f"{PLACE}/{series['id']}", {"subject": "Call"})
    assert {(one["start_zone"], one["end_zone"], one["subject"]) for one in await ones(client, series)} == {
        ("Europe/Berlin", "America/New_York", "Call")
    }


async def test_rows_of_others_do_not_exist_for_a_reader_of_his_own(client: Client, client_for: Any) -> None:
    path = f"{PLACE}/{(await made(client))['id']}"
    stranger = client_for(principal(Depth.USER))
    for answer in (
        await stranger.get(path),
        await stranger.patch(path, {"subject": "x"}),
        await stranger.delete(path),
        await stranger.post(f"{path}/end-series"),
    ):
        assert answer.status == 404
