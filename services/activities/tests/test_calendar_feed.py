"""Feeds: secret links, and calendars that other programs read as the API lists them."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import recurring_ical_events
from icalendar import Calendar

from crm_activities.calendar_feed import commands
from crm_activities.ical.writing import calendar_of
from crm_contracts.identity import UserUpdated
from crm_contracts.types import utc_text
from crm_kit import clock
from crm_kit.access.privileges import Depth, Principal
from crm_kit.store.record import new_id
from crm_kit.testing import Client, People, principal

FEEDS, ONES = "/api/v1/calendar-feeds", "/api/v1/appointments"
ME = UUID("01900000-0000-7000-8000-0000000000aa")


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


@pytest.fixture
async def client(client: Client, people: People) -> Client:
    """The client of a user whom the directory knows."""
    await people.user("Ada Lovelace", id=ME)
    return client


def row(**values: Any) -> dict[str, Any]:
    """A row of an appointment."""
    at = datetime(2026, 5, 4, 9, 30, 0, 123456, tzinfo=UTC)
    times = {
        "scheduled_start_at": at,
        "scheduled_end_at": at + timedelta(hours=1),
        "start_zone": "UTC",
        "end_zone": "UTC",
    }
    texts = {"uid": "1@liaison", "subject": "Review; a, b", "location": None, "description": None}
    days = {"all_day": False, "start_date": None, "end_date": None}
    state = {"status": "scheduled", "status_reason": "busy", "series_id": None, "sequence": 2}
    return {"id": new_id(), "created_at": at, "modified_at": at, **times, **texts, **days, **state, **values}


def read(body: bytes) -> Any:
    """A calendar as another program reads it."""
    return Calendar.from_ical(body)


def only(body: bytes) -> Any:
    """The only appointment of a calendar."""
    [found] = read(body).walk("VEVENT")
    return found


def test_whole_days_are_dates_whatever_the_zone() -> None:
    days = {"all_day": True, "start_date": date(2025, 12, 29), "end_date": date(2025, 12, 29)}
    body = calendar_of([row(**days, start_zone="Europe/Copenhagen")], "Ada")
    assert b"DTSTART;VALUE=DATE:20251229\r\n" in body
    assert b"DTEND;VALUE=DATE:20251230\r\n" in body


def test_start_and_end_have_zones_of_their_own_and_each_is_defined() -> None:
    start = datetime(2026, 7, 1, 8, tzinfo=UTC)
    times = {"scheduled_start_at": start, "scheduled_end_at": start + timedelta(hours=8, minutes=30)}
    body = calendar_of([row(**times, start_zone="Europe/Berlin", end_zone="America/New_York")], "Ada")
    assert b"DTSTART;TZID=Europe/Berlin:20260701T100000\r\n" in body
    assert b"DTEND;TZID=America/New_York:20260701T123000\r\n" in body
    found = read(body)
    assert {str(zone["TZID"]) for zone in found.walk("VTIMEZONE")} == {"Europe/Berlin", "America/New_York"}
    event = only(body)
    assert event.end - event.start == timedelta(hours=8, minutes=30)


def test_an_appointment_without_length_has_no_end() -> None:
    start = row()["scheduled_start_at"]
    assert b"DTEND" not in calendar_of([row(scheduled_end_at=start)], "Ada")


@pytest.mark.parametrize(
    ("state", "status", "transparency"),
    [
        ("scheduled/busy", "CONFIRMED", "OPAQUE"),
        ("scheduled/out_of_office", "CONFIRMED", "OPAQUE"),
        ("open/tentative", "TENTATIVE", "OPAQUE"),
        ("open/free", "CONFIRMED", "TRANSPARENT"),
        ("canceled/canceled", "CANCELLED", "TRANSPARENT"),
    ],
)
def test_the_state_is_told(state: str, status: str, transparency: str) -> None:
    first, _, reason = state.partition("/")
    found = only(calendar_of([row(status=first, status_reason=reason)], "Ada"))
    assert (found["STATUS"], found["TRANSP"], found["SEQUENCE"]) == (status, transparency, 2)


def test_texts_cannot_break_out_of_their_line() -> None:
    body = calendar_of([row(subject="x\r\nEND:VEVENT", description="é" * 200)], "Ada")
    assert (str(only(body)["SUMMARY"]), str(only(body)["DESCRIPTION"])) == ("x\nEND:VEVENT", "é" * 200)
    assert all(len(line) <= 75 for line in body.split(b"\r\n"))


def test_zones_of_all_names_are_defined() -> None:
    for zone in ("Asia/Tokyo", "Australia/Lord_Howe", "Africa/Casablanca", "Etc/UTC"):
        body = calendar_of([row(start_zone=zone, end_zone=zone)], "Ada")
        assert only(body).start.astimezone(UTC) == row()["scheduled_start_at"].replace(microsecond=0)


def nine(days: int) -> datetime:
    return (clock.now() + timedelta(days=days)).replace(hour=9, minute=0, second=0, microsecond=0)


async def made(client: Client, start: datetime, **fields: Any) -> dict[str, Any]:
    times = {"scheduled_start_at": start.isoformat(), "scheduled_end_at": (start + timedelta(hours=1)).isoformat()}
    answer = await client.post(ONES, {"subject": "Review", "start_zone": "Europe/Berlin", **times, **fields})
    assert answer.status == 201, answer.body
    record: dict[str, Any] = answer.json
    return record


async def link(client: Client, **body: Any) -> str:
    answer = await client.post(FEEDS, body)
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store"), answer.body
    return str(answer.json["path"])


async def test_a_feed_has_the_instants_that_the_api_lists(client: Client, client_for: Any) -> None:
    one = await made(client, nine(3))
    await made(client, nine(400))
    start = nine(5)
    times = {"scheduled_start_at": start.isoformat(), "scheduled_end_at": (start + timedelta(hours=2)).isoformat()}
    series = {"subject": "Daily", "rule": "FREQ=DAILY;COUNT=5", "start_zone": "America/New_York", **times}
    assert (await client.post("/api/v1/recurring-appointments", series)).status == 201
    listed = (await client.get(f"{ONES}?sort=scheduled_start_at&limit=200")).json["items"]
    moved = listed[2]
    await client.post(f"{ONES}/{moved['id']}/reschedule", {"scheduled_start_at": nine(30).isoformat()})
    path = await link(client)
    nobody = client_for(None)
    answer = await nobody.get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    found = recurring_ical_events.of(read(answer.body)).between(nine(-1), nine(200))
    listed = (await client.get(f"{ONES}?scheduled_start_at[lt]={nine(200):%Y-%m-%dT%H:%M:%SZ}&limit=200")).json["items"]
    assert sorted((event.start.astimezone(UTC), event.end.astimezone(UTC)) for event in found) == sorted(
        (datetime.fromisoformat(item["scheduled_start_at"]), datetime.fromisoformat(item["scheduled_end_at"]))
        for item in listed
    )
    uids = [str(event["UID"]) for event in read(answer.body).walk("VEVENT")]
    assert len(set(uids)) == len(uids) == 6
    assert one["uid"] in uids


async def test_a_feed_is_the_same_until_something_changes(client: Client, client_for: Any) -> None:
    one = await made(client, nine(3))
    path, nobody = await link(client), client_for(None)
    first, again = await nobody.get(path), await nobody.get(path)
    assert (first.body, first.etag) == (again.body, again.etag)
    unchanged = await nobody.get(path, headers={"if-none-match": first.etag})
    assert (unchanged.status, unchanged.body) == (304, b"")
    await client.post(f"{ONES}/{one['id']}/reschedule", {"scheduled_start_at": nine(4).isoformat()})
    moved = await nobody.get(path, headers={"if-none-match": first.etag})
    before, after = only(first.body), only(moved.body)
    assert (after["UID"], after["SEQUENCE"]) == (before["UID"], before["SEQUENCE"] + 1)
    assert after["LAST-MODIFIED"].dt >= before["LAST-MODIFIED"].dt
    await client.post(f"{ONES}/{one['id']}/cancel")
    assert only((await nobody.get(path)).body)["STATUS"] == "CANCELLED"
    await client.delete(f"{ONES}/{one['id']}")
    assert read((await nobody.get(path)).body).walk("VEVENT") == []


async def test_an_old_link_ends_when_there_is_another(client: Client, client_for: Any) -> None:
    nobody, old = client_for(None), await link(client)
    new = await link(client)
    assert [(await nobody.get(path)).status for path in (old, new, "/api/v1/calendars/guess.ics")] == [404, 200, 404]
    [shown] = (await client.get(FEEDS)).json["items"]
    assert (shown["owner_type"], shown["owner_id"], "path" in shown) == ("user", str(ME), False)
    assert (await client.post(f"{FEEDS}/end", {})).status == 204
    assert (await nobody.get(new)).status == 404
    assert (await client.post(f"{FEEDS}/end", {})).status == 404


async def test_a_team_has_a_feed_for_its_members_alone(client: Client, client_for: Any, people: Any) -> None:
    team = await people.team("North")
    member = client_for(principal(Depth.ORGANIZATION, id=ME, teams=(team,)))
    path = await link(member, team_id=str(team))
    one = await made(member, nine(3), parties=[])
    assert read((await client_for(None).get(path)).body).walk("VEVENT") == []
    assert one["owner_id"] == str(ME)
    stranger = client_for(principal(id=new_id()))
    assert (await stranger.post(FEEDS, {"team_id": str(team)})).status == 403
    assert (await stranger.post(f"{FEEDS}/end", {"team_id": str(team)})).status == 404


async def test_a_link_to_the_calendar_of_a_team_ends_when_its_maker_leaves(
    client: Client, client_for: Any, people: People, story: Any, hear: Any
) -> None:
    team, other = await people.team("North"), await people.team("South")
    member = client_for(principal(Depth.ORGANIZATION, id=ME, teams=(team, other)))
    mine, left, kept = await link(member), await link(member, team_id=str(team)), await link(member, team_id=str(other))
    nobody = client_for(None)
    # What happened before a link was made does not end it.
    user = story(id=ME)
    await hear(user.tell(UserUpdated, {"team_ids": [], "modified_at": utc_text(clock.now() - timedelta(hours=1))}))
    assert [(await nobody.get(path)).status for path in (mine, left, kept)] == [200, 200, 200]
    await hear(user.tell(UserUpdated, {"team_ids": [str(other)], "modified_at": utc_text(clock.now())}))
    assert [(await nobody.get(path)).status for path in (mine, left, kept)] == [200, 404, 200]


async def test_a_calendar_that_is_known_is_not_made(
    client: Client, client_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(client, nine(3))
    one = await made(client, nine(4))
    path, nobody = await link(client), client_for(None)
    etag = (await nobody.get(path)).etag
    with monkeypatch.context() as patched:
        patched.delattr(commands, "calendar_of")
        assert (await nobody.get(path, headers={"if-none-match": etag})).status == 304
    await client.delete(f"{ONES}/{one['id']}")
    gone = await nobody.get(path, headers={"if-none-match": etag})
    assert (gone.status, len(read(gone.body).walk("VEVENT"))) == (200, 1)
