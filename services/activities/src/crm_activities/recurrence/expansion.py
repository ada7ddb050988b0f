"""The occurrences of a rule. Local times are expanded without a zone, which is applied to each of them afterwards.

RFC 5545 §3.3.10: a local time that does not exist, because the clocks go forward, is left out **and not counted**. Of a local
time that exists twice it is the first (§3.3.5).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from crm_activities.recurrence.rule import Rule, allows, refused

_LOOKED_AT: Final = {"MONTHLY": 48, "YEARLY": 8}
"""The periods in which a day is looked for that not all of them have."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule with its first local time and its zone. An all-day series has the midnights of its days."""

    rule: Rule
    start: datetime
    zone: str
    all_day: bool = False

    @classmethod
    def of(cls, rule: Rule, start_at: datetime, zone: str, *, all_day: bool = False) -> "Recurrence":
        """Return the recurrence of a series that begins at an instant."""
        local = start_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        if all_day:
            local = datetime.combine(local.date(), time())
        return cls(rule, local, zone, all_day)

    def _locals(self, end: datetime) -> Iterator[datetime]:
        """Yield the local times of the rule up to one, also those that do not exist."""
        from dateutil.rrule import rrulestr  # processes that expand no series do without it

        source = rrulestr(self.rule.endless, dtstart=self.start, ignoretz=True)
        for local in source:
            if local > end:
                return
            yield local

    def _instant(self, local: datetime) -> datetime | None:
        """Return the instant of a local time; None if it does not exist."""
        there = local.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)
        if self.all_day:
            return there
        exists = there.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None, fold=0) == local
        return there if exists else None

    def occurrences(self, end: datetime | None = None) -> Iterator[datetime]:
        """Yield the instants of the occurrences in their order, up to and including ``end``.

        Without one they go on for at most 200 years.
        """
        until = self.rule.until
        last = min((one for one in (until, end) if one is not None), default=None)
        left = self.rule.count
        for local in self._locals(self._local_end(last)):
            at = self._instant(local)
            if at is None:
                continue
            if (last is not None and at > last) or left == 0:
                return
            left = None if left is None else left - 1
            yield at

    def gaps(self, end: datetime) -> list[datetime]:
        """Return the local times of the rule up to an instant that do not exist. Other programs need them as EXDATE."""
        until = self.rule.until
        last = end if until is None else min(until, end)
        return [local for local in self._locals(self._local_end(last)) if self._instant(local) is None]

    def _local_end(self, last: datetime | None) -> datetime:
        farthest = self.start.replace(year=min(self.start.year + 200, 9998), day=min(self.start.day, 28))
        if last is None:
            return farthest
        try:
            return min(farthest, last.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None, fold=0) + timedelta(hours=3))
        except OverflowError:
            return farthest

    def first(self, number: int) -> list[datetime]:
        """Return the first occurrences."""
        return list(islice(self.occurrences(), number))

    def require_start(self) -> None:
        """Refuse a first day that the rule does not produce (RFC 5545 §3.8.5.3: the result would be undefined)."""
        # A rule without any day would be searched up to the year 9999.
        produced = next(self._locals(self.start), None) if allows(self.rule.parts, self.start.date()) else None
        if produced != self.start or self._instant(self.start) is None:
            raise refused("Send a start that the rule produces, or another rule.")
        if self.rule.until is not None and next(self.occurrences(), None) is None:
            raise refused("Send an UNTIL that is not before the start.")

    def settled(self) -> "Recurrence":
        """Return the recurrence with UNTIL in place of COUNT, so that all programs end at the same occurrence.

        Others count a local time that does not exist.
        """
        if self.rule.count is None:
            return self
        found = list(self.occurrences())
        if len(found) < self.rule.count:
            raise refused("Send a smaller COUNT: the last occurrence is more than 200 years away.")
        return Recurrence(self.rule.ending(found[-1]), self.start, self.zone, self.all_day)

    def skips(self) -> bool:
        """Whether the rule leaves out months or years, because they do not have its day (RFC 5545 §3.3.10)."""
        periods = _LOOKED_AT.get(self.rule.frequency)
        if periods is None:
            return False
        interval = int(self.rule.parts.get("INTERVAL", "1"))
        months = interval * (12 if self.rule.frequency == "YEARLY" else 1)
        first = self.start.year * 12 + self.start.month - 1
        if (first + months * periods) // 12 > 9998:
            return False
        if self.rule.frequency == "YEARLY":
            expected = {self.start.year + interval * n for n in range(periods)}
            end = datetime.combine(date(max(expected), 12, 31), time.max)
            found = {local.year for local in self._locals(end)}
        elif "BYMONTH" in self.rule.parts:
            return False
        else:
            expected = {first + months * n for n in range(periods)}
            year, month = divmod(max(expected) + 1, 12)
            found = {
                local.year * 12 + local.month - 1
                for local in self._locals(datetime.combine(date(year, month + 1, 1), time()))
            }
        if self.rule.until is not None:
            ended = self.rule.until.astimezone(ZoneInfo(self.zone))
            last = ended.year if self.rule.frequency == "YEARLY" else ended.year * 12 + ended.month - 2
            expected = {period for period in expected if period <= last}
        return bool(expected - found)
