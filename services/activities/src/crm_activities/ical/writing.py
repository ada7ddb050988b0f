"""Appointments as iCalendar (RFC 5545). Equal input gives equal bytes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from crm_activities.ical.zones import UTC as NAMES_OF_UTC
from crm_activities.ical.zones import definitions

if TYPE_CHECKING:
    from icalendar import Event

PRODUCT: Final = "-//Liaison//Activities//EN"
STATUS: Final = {"tentative": "TENTATIVE", "canceled": "CANCELLED"}
BUSY: Final = {"free": "FREE", "tentative": "TENTATIVE", "out_of_office": "OOF"}


def calendar_of(rows: Iterable[Mapping[str, Any]], name: str) -> bytes:
    """Return a calendar of appointments, given as rows of their table, in the order of the rows."""
    # Imported here, as heavy libraries are: a process that has nothing to do with calendars does without them.
    from icalendar import Calendar

    calendar, zones, events = Calendar(), set(), []
    for row in rows:
        events.append(event_of(row))
        if not row["all_day"]:
            zones |= {row["start_zone"], row["end_zone"]}
    for key, value in (("prodid", PRODUCT), ("version", "2.0"), ("method", "PUBLISH"), ("x-wr-calname", name)):
        calendar.add(key, value)
    for component in (*definitions(zones), *events):
        calendar.add_component(component)
    return bytes(calendar.to_ical())


def event_of(row: Mapping[str, Any]) -> "Event":
    """Return one appointment. Its times depend on no reader: instants have their zone, and whole days are dates.

    DTEND is the day after the last one (§3.6.1).
    """
    from icalendar import Event

    event, canceled = Event(), row["status"] == "canceled"
    event.add("uid", uid_of_row(row))
    event.add("dtstamp", _second(row["modified_at"]))
    event.add("created", _second(row["created_at"]))
    event.add("last-modified", _second(row["modified_at"]))
    event.add("sequence", row["sequence"])
    event.add("summary", row["subject"])
    if row["all_day"]:
        event.add("dtstart", row["start_date"])
        event.add("dtend", row["end_date"] + timedelta(days=1))
    else:
        event.add("dtstart", _local(row["scheduled_start_at"], row["start_zone"]))
        if row["scheduled_end_at"] > row["scheduled_start_at"]:
            event.add("dtend", _local(row["scheduled_end_at"], row["end_zone"]))
    for name in ("location", "description"):
        if row[name]:
            event.add(name, row[name])
    event.add("status", STATUS.get(row["status_reason"], "CONFIRMED"))
    event.add("transp", "TRANSPARENT" if canceled or row["status_reason"] == "free" else "OPAQUE")
    event.add("x-microsoft-cdo-busystatus", "FREE" if canceled else BUSY.get(row["status_reason"], "BUSY"))
    return event


def uid_of_row(row: Mapping[str, Any]) -> str:
    """Return the identifier of an appointment in a feed. Each occurrence of a series is an event of its own there."""
    return str(row["uid"]) if row["series_id"] is None else f"{row['id']}@liaison"


def _local(at: datetime, zone: str) -> datetime:
    return at.astimezone(UTC if zone in NAMES_OF_UTC else ZoneInfo(zone))


def _second(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
