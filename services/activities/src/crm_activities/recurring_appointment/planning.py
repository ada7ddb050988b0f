"""What is made of a series of appointments. No database is needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from crm_activities.appointment.domain import Times, midnight
from crm_activities.recurrence.expansion import Recurrence
from crm_activities.recurrence.rule import moved_rule, read_rule

FIRST: Final = 10
"""The occurrences that are made with the series."""
CHUNK: Final = 50
"""The most occurrences that the timer makes in one transaction."""
WINDOW: Final = timedelta(days=180)
"""How far ahead occurrences are made."""
MOST_EXCEPTIONS: Final = 1000


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a series moves: the same difference of local times for all of its occurrences."""

    by: timedelta
    zone: ZoneInfo
    new_zone: ZoneInfo

    @classmethod
    def of(cls, before: Times, after: Times) -> "Shift":
        """Return the move of a series whose first appointment moved."""
        zone, new_zone = ZoneInfo(before.start_zone), ZoneInfo(after.start_zone)
        return cls(_local(after.scheduled_start_at, new_zone) - _local(before.scheduled_start_at, zone), zone, new_zone)

    def moved(self, at: datetime) -> datetime:
        """Return where an instant of the series is now."""
        return (_local(at, self.zone) + self.by).replace(tzinfo=self.new_zone).astimezone(UTC)

    def origin(self, at: datetime) -> datetime:
        """Return where an instant of the moved series was."""
        return (_local(at, self.new_zone) - self.by).replace(tzinfo=self.zone).astimezone(UTC)


def _local(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)


def recurrence_of(rule: str, times: Times) -> Recurrence:
    """Return the recurrence of a series. 422 ``invalid-rule`` for a text that is none."""
    read = read_rule(rule, times.start_zone)
    return Recurrence.of(read, times.scheduled_start_at, times.start_zone, all_day=times.all_day)


def checked(rule: str, times: Times) -> Recurrence:
    """Return the recurrence of a new series with its end settled. 422 ``invalid-rule`` unless it produces the start."""
    found = recurrence_of(rule, times)
    found.require_start()
    return found.settled()


def moved(rule: str, before: Times, after: Times) -> Recurrence:
    """Return the recurrence of a series whose first appointment moved, with the rule moved along."""
    was, there = recurrence_of(rule, before), recurrence_of(rule, after)
    rule_there = moved_rule(was.rule, was.start.date(), there.start.date())
    if rule_there.until is not None and before != after:
        # The last occurrence moves, too. The end of an all-day series is a day.
        rule_there = rule_there.ending(Shift.of(before, after).moved(rule_there.until))
    turned = replace(there, rule=rule_there)
    turned.require_start()
    return turned


def text_of(found: Recurrence) -> str:
    """Return the rule as it is stored."""
    return found.rule.text(found.zone, all_day=found.all_day)


def due_occurrences(
    found: Recurrence, exceptions: Sequence[datetime], after: datetime | None, horizon: datetime
) -> Iterator[datetime]:
    """Yield the occurrences after the last one that was made, up to the horizon, without those that were deleted."""
    left_out = set(exceptions)
    for at in found.occurrences(horizon):
        if (after is None or at > after) and at not in left_out:
            yield at


def match(places: Sequence[datetime], wanted: Sequence[datetime]) -> dict[datetime, datetime]:
    """Give occurrences their places in a changed rule, both in their order: the place that they have if the rule has it, else the
    free ones in turn. Those that get none are left out."""
    there, free = set(places), set(wanted)
    stay = {at: at for at in places if at in free}
    others = (at for at in places if at not in free)
    return stay | dict(zip(others, (at for at in wanted if at not in there), strict=False))


def times_at(first: Times, at: datetime) -> Times:
    """Return the times of the occurrence that begins at an instant. It has the exact length of the first (RFC 5545 §3.8.5.3), or
    as many days."""
    if first.all_day and first.start_date is not None and first.end_date is not None:
        day = at.astimezone(ZoneInfo(first.start_zone)).date()
        last = day + (first.end_date - first.start_date)
        end = midnight(last + timedelta(days=1), first.start_zone)
        return Times(True, day, last, at, end, first.start_zone, first.end_zone)
    length = first.scheduled_end_at - first.scheduled_start_at
    return replace(first, scheduled_start_at=at, scheduled_end_at=at + length)


def next_look(found: Recurrence, last: datetime | None) -> datetime | None:
    """Return when further occurrences have to be made; None if the rule has none."""
    following = next((at for at in found.occurrences() if last is None or at > last), None)
    return None if following is None else following - WINDOW


def instants(texts: Sequence[str]) -> list[datetime]:
    """Return stored exceptions as instants."""
    return [datetime.fromisoformat(one) for one in texts]


def cut_before(found: Recurrence, at: datetime) -> Recurrence:
    """Return the recurrence with its end before an occurrence."""
    last = at - timedelta(seconds=1)
    if found.all_day:
        day = at.astimezone(ZoneInfo(found.zone)).date() - timedelta(days=1)
        last = datetime.combine(day, time(23, 59, 59), ZoneInfo(found.zone)).astimezone(UTC)
    return Recurrence(found.rule.ending(last), found.start, found.zone, found.all_day)


def shared(values: dict[str, Any]) -> dict[str, Any]:
    """Return the columns that occurrences take over from their series."""
    taken = (
        "subject",
        "location",
        "description",
        "priority",
        "regarding_type",
        "regarding_id",
        "parties",
        "reminder_minutes",
    )
    return {name: values[name] for name in taken if name in values}
