"""Appointments: the state machine and the rules that need no database. Terms follow Dataverse's Appointment and RFC 5545."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from crm_activities.activity.domain import LONGEST
from crm_contracts.activities.activity import PartyRole
from crm_contracts.activities.appointment import Reply
from crm_kit.errors import InvalidValue
from crm_kit.lifecycle import Lifecycle

PLANNED: Final = frozenset({"open/*", "scheduled/*"})

LIFECYCLE = Lifecycle(
    "scheduled/busy",
    {
        "free": ({"open/tentative", "scheduled/*"}, "open/free"),
        "tentative": ({"open/free", "scheduled/*"}, "open/tentative"),
        "confirm": (set(PLANNED), "scheduled/busy|out_of_office"),
        "complete": (set(PLANNED), "completed/completed"),
        "reschedule": (set(PLANNED), "open/*"),
        "snooze": (set(PLANNED), "open/*"),
        "cancel": (set(PLANNED), "canceled/canceled"),
        "reopen": ({"completed/*", "canceled/*"}, "scheduled/busy"),
    },
)
"""A new appointment is busy, as one that is saved in Dynamics 365 or Outlook."""

SHOWN_AS: Final = {
    "free": "open/free",
    "tentative": "open/tentative",
    "busy": "scheduled/busy",
    "out_of_office": "scheduled/out_of_office",
}
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
TIMES: Final = (
    "all_day",
    "start_date",
    "end_date",
    "scheduled_start_at",
    "scheduled_end_at",
    "start_zone",
    "end_zone",
)


@dataclass(frozen=True, slots=True)
class Times:
    """When an appointment takes place. The dates are null unless it is all day; the last one is inclusive."""

    all_day: bool
    start_date: date | None
    end_date: date | None
    scheduled_start_at: datetime
    scheduled_end_at: datetime
    start_zone: str
    end_zone: str

    @property
    def minutes(self) -> int:
        """Whole minutes from start to end, rounded half up."""
        return (self.scheduled_end_at - self.scheduled_start_at + MINUTE / 2) // MINUTE

    def columns(self) -> dict[str, Any]:
        """Return the columns of these times."""
        return {name: getattr(self, name) for name in TIMES} | {
            "due_at": self.scheduled_start_at,
            "duration_minutes": self.minutes,
        }


def times_of(sent: Mapping[str, Any], before: Times | None, zone: str) -> Times:
    """Return when an appointment takes place after these fields were sent. A field that was not sent stays.

    A new start keeps the duration unless an end is sent, too. ``zone`` is used where none is known.

    422: ``time-required`` for a missing start or end, ``only-all-day`` and ``only-timed`` for dates and instants that contradict
    ``all_day``, ``end-before-start``, and ``too-long`` above 366 days.
    """
    all_day = sent.get("all_day", before.all_day if before else False)
    start_zone = sent.get("start_zone") or (before.start_zone if before else zone)
    end_zone = sent.get("end_zone") or (before.end_zone if before and "start_zone" not in sent else start_zone)
    made = _days(sent, before, start_zone) if all_day else _instants(sent, before, start_zone, end_zone)
    if made.scheduled_end_at < made.scheduled_start_at:
        end = "end_date" if all_day else "scheduled_end_at"
        raise InvalidValue(f"/{end}", "end-before-start", "Send an end that is not before the start.")
    if made.scheduled_end_at - made.scheduled_start_at > LONGEST:
        end = "end_date" if all_day else "scheduled_end_at"
        raise InvalidValue(f"/{end}", "too-long", "Send an end at most 366 days after the start.")
    return made


def _days(sent: Mapping[str, Any], before: Times | None, zone: str) -> Times:
    for field in ("scheduled_start_at", "scheduled_end_at"):
        if sent.get(field) is not None:
            raise InvalidValue(f"/{field}", "only-timed", "Send start_date and end_date: the appointment is all day.")
    known = _dates_of(before) if before else None
    start = sent.get("start_date") or (known[0] if known else None)
    if start is None:
        raise InvalidValue("/start_date", "time-required", "Send the first day of the appointment.")
    end = sent.get("end_date") or (start + (known[1] - known[0]) if known else start)
    try:
        return Times(True, start, end, midnight(start, zone), midnight(end + DAY, zone), zone, zone)
    except OverflowError:
        raise InvalidValue("/end_date", "too-late", "Send days within the years 1 to 9999.") from None


def _dates_of(times: Times) -> tuple[date, date]:
    """Return the days that an appointment touches, in its own zones."""
    if times.start_date is not None and times.end_date is not None:
        return times.start_date, times.end_date
    start = times.scheduled_start_at.astimezone(ZoneInfo(times.start_zone)).date()
    return start, max(start, times.scheduled_end_at.astimezone(ZoneInfo(times.end_zone)).date())


def _instants(sent: Mapping[str, Any], before: Times | None, start_zone: str, end_zone: str) -> Times:
    for field in ("start_date", "end_date"):
        if sent.get(field) is not None:
            raise InvalidValue(f"/{field}", "only-all-day", "Send all_day true, or the start and end as times.")
    start, end = sent.get("scheduled_start_at"), sent.get("scheduled_end_at")
    kept = before if before is not None and not before.all_day else None
    if kept is not None:
        if end is None:
            length = kept.scheduled_end_at - kept.scheduled_start_at
            end = kept.scheduled_end_at if start is None else _later(start, length)
        start = start or kept.scheduled_start_at
    if start is None or end is None:
        missing = "scheduled_start_at" if start is None else "scheduled_end_at"
        raise InvalidValue(f"/{missing}", "time-required", "Send the start and the end of the appointment.")
    return Times(False, None, None, start, end, start_zone, end_zone)


def _later(start: datetime, length: timedelta) -> datetime:
    try:
        return start + length
    except OverflowError:
        raise InvalidValue("/scheduled_start_at", "too-late", "Send a time within the years 1 to 9999.") from None


def midnight(day: date, zone: str) -> datetime:
    """Return the beginning of a day in a zone. Where a day begins at one o'clock, because the clocks go forward, that instant."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def reminder_of(times: Times, minutes: int) -> datetime:
    """Return when to remind: this long before the start, which is an instant and so the same for every reader."""
    try:
        return times.scheduled_start_at - timedelta(minutes=minutes)
    except OverflowError:
        return times.scheduled_start_at


def require_one_organizer(roles: list[str]) -> None:
    """Refuse a second organizer (RFC 5545 §3.8.4.3: there is at most one)."""
    if roles.count(PartyRole.ORGANIZER) > 1:
        at = len(roles) - 1 - roles[::-1].index(PartyRole.ORGANIZER)
        raise InvalidValue(f"/parties/{at}/role", "one-organizer", "Name one organizer, and invite the others.")


def asked_again(parties: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the parties without the answers of those invited, because the time has changed (RFC 5546 §2.1.4)."""
    return [
        one if one["role"] == PartyRole.ORGANIZER else {**one, "reply": Reply.NEEDS_ACTION.value, "replied_at": None}
        for one in parties
    ]
