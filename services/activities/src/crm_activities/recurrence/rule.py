"""Recurrence rules (RFC 5545 §3.3.10) as texts: read, checked, written, and moved with their first day."""

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue

MOST_COUNT: Final = 1000
FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NUMBERS: Final = r"[+-]?[0-9]{1,3}(,[+-]?[0-9]{1,3})*"
_DAYS: Final = r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)(,([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU))*"
PARTS: Final[Mapping[str, str]] = {
    "FREQ": "|".join(FREQUENCIES),
    "INTERVAL": r"[1-9][0-9]{0,2}",
    "COUNT": r"[1-9][0-9]{0,3}",
    "UNTIL": r"[0-9]{8}(T[0-9]{6}Z?)?",
    "BYMONTH": _NUMBERS,
    "BYWEEKNO": _NUMBERS,
    "BYYEARDAY": _NUMBERS,
    "BYMONTHDAY": _NUMBERS,
    "BYDAY": _DAYS,
    "BYSETPOS": _NUMBERS,
    "WKST": "|".join(WEEKDAYS),
}
"""The parts of a rule in the order in which they are written, and their forms."""
_LARGEST: Final = {"BYMONTH": 12, "BYWEEKNO": 53, "BYYEARDAY": 366, "BYMONTHDAY": 31, "BYSETPOS": 366}


def refused(detail: str) -> InvalidValue:
    """Return the problem of a rule that cannot be used."""
    return InvalidValue("/rule", "invalid-rule", detail)


@dataclass(frozen=True, slots=True)
class Rule:
    """The parts of a rule by name, without its end; ``until`` is the last instant, and ``count`` the number of occurrences."""

    parts: Mapping[str, str]
    until: datetime | None = None
    count: int | None = None

    @property
    def frequency(self) -> str:
        """DAILY, WEEKLY, MONTHLY or YEARLY."""
        return self.parts["FREQ"]

    @property
    def endless(self) -> str:
        """The text of the rule without its end."""
        return ";".join(f"{name}={self.parts[name]}" for name in PARTS if name in self.parts)

    def text(self, zone: str, *, all_day: bool = False) -> str:
        """Return the rule as RFC 5545 writes it. The end is UTC, or a date if the series has dates (§3.3.10)."""
        if self.count is not None:
            return f"{self.endless};COUNT={self.count}"
        if self.until is None:
            return self.endless
        end = (
            f"{self.until.astimezone(ZoneInfo(zone)):%Y%m%d}"
            if all_day
            else f"{self.until.astimezone(UTC):%Y%m%dT%H%M%SZ}"
        )
        return f"{self.endless};UNTIL={end}"

    def ending(self, until: datetime) -> "Rule":
        """Return the rule with another end."""
        return replace(self, until=until, count=None)


def read_rule(text: str, zone: str) -> Rule:
    """Read a rule. A date or a local time in UNTIL is meant in ``zone``; a date includes its whole day.

    422 ``invalid-rule`` names what is wrong: an unknown part, one that is there twice, a value out of range, COUNT beside UNTIL.
    """
    parts: dict[str, str] = {}
    for piece in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, _, value = piece.partition("=")
        name, value = name.strip(), value.strip()
        if name not in PARTS:
            raise refused(
                said(
                    "Leave out {part}, or use one of: {allowed}.",
                    part=name[:40] or said("the empty part"),
                    allowed=", ".join(PARTS),
                )
            )
        if name in parts:
            raise refused(said("Send {name} once.", name=name))
        if not re.fullmatch(PARTS[name], value):
            raise refused(
                said("Send a value of {name} as in RFC 5545, such as FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE.", name=name)
            )
        if name in _LARGEST and any(not 1 <= abs(int(one)) <= _LARGEST[name] for one in value.split(",")):
            raise refused(said("Send numbers from 1 to {largest} in {name}.", largest=_LARGEST[name], name=name))
        parts[name] = value
    if "FREQ" not in parts:
        raise refused(said("Begin with FREQ, one of: {allowed}.", allowed=", ".join(FREQUENCIES)))
    until, count = parts.pop("UNTIL", None), parts.pop("COUNT", None)
    if until and count:
        raise refused("Send either COUNT or UNTIL.")
    _require_sense(parts)
    if count and int(count) > MOST_COUNT:
        raise refused(said("Send a COUNT of at most {most}, or UNTIL.", most=MOST_COUNT))
    return Rule(parts, None if until is None else _until(until, zone), int(count) if count else None)


def _require_sense(parts: Mapping[str, str]) -> None:
    """Refuse what RFC 5545 §3.3.10 forbids."""
    frequency, days = parts["FREQ"], parts.get("BYDAY", "")
    numbered = re.search(r"[0-9]", days) is not None
    if numbered and (frequency not in ("MONTHLY", "YEARLY") or "BYWEEKNO" in parts):
        raise refused("Numbers in BYDAY need FREQ=MONTHLY, or FREQ=YEARLY without BYWEEKNO.")
    if any(abs(int(one)) > 53 or int(one) == 0 for one in re.findall(r"[+-]?[0-9]+", days)):
        raise refused("Send numbers from 1 to 53 in BYDAY.")
    if "BYMONTHDAY" in parts and frequency == "WEEKLY":
        raise refused("BYMONTHDAY does not go with FREQ=WEEKLY.")
    if "BYYEARDAY" in parts and frequency != "YEARLY":
        raise refused("BYYEARDAY needs FREQ=YEARLY.")
    if "BYWEEKNO" in parts and frequency != "YEARLY":
        raise refused("BYWEEKNO needs FREQ=YEARLY.")
    if any(int(one) < 1 for one in parts.get("BYMONTH", "1").split(",")):
        raise refused("Send numbers from 1 to 12 in BYMONTH.")
    if "BYSETPOS" in parts and not any(
        name in parts for name in ("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")
    ):
        raise refused("BYSETPOS needs another BY part.")
    if "BYSETPOS" in parts:
        listed = {"DAILY": 0, "WEEKLY": len(days.split(",")), "MONTHLY": 31, "YEARLY": 366}[frequency]
        if frequency == "MONTHLY" and "BYDAY" not in parts:
            listed = len(parts.get("BYMONTHDAY", "1").split(","))
        if any(abs(int(one)) > listed for one in parts["BYSETPOS"].split(",")):
            raise refused("Send positions in BYSETPOS that the other parts have.")


def allows(parts: Mapping[str, str], day: date) -> bool:
    """Whether months, days of the month and weekdays of a rule allow a day. It is quick, also for a rule without any day."""
    if "BYMONTH" in parts and day.month not in _numbers(parts["BYMONTH"]):
        return False
    last = monthrange(day.year, day.month)[1]
    if "BYMONTHDAY" in parts and not {day.day, day.day - last - 1} & _numbers(parts["BYMONTHDAY"]):
        return False
    return "BYDAY" not in parts or WEEKDAYS[day.weekday()] in {one[-2:] for one in parts["BYDAY"].split(",")}


def _numbers(text: str) -> set[int]:
    return {int(one) for one in text.split(",")}


def _until(text: str, zone: str) -> datetime:
    try:
        if len(text) == 8:
            day = date.fromisoformat(text)
            return datetime.combine(day, time(23, 59, 59), ZoneInfo(zone)).astimezone(UTC)
        local = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return local if text.endswith("Z") else local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise refused("Send an UNTIL that exists, such as 20261231 or 20261231T235959Z.") from None


def moved_rule(rule: Rule, old: date, new: date) -> Rule:
    """Return the rule of a series that moves from one day to another, so that it produces the new day.

    A weekly rule moves all its weekdays. A monthly or yearly rule with one day moves that. Others are 422 ``invalid-rule``: only
    the person knows what is meant.
    """
    by = {name for name in rule.parts if name.startswith("BY")}
    if old == new or not by:
        return rule
    parts = dict(rule.parts)
    if rule.frequency in ("DAILY", "WEEKLY") and by == {"BYDAY"}:
        shift = (new - old).days
        there = [WEEKDAYS[(WEEKDAYS.index(day) + shift) % 7] for day in parts["BYDAY"].split(",")]
        parts["BYDAY"] = ",".join(sorted(there, key=WEEKDAYS.index))
        return replace(rule, parts=parts)
    if by <= {"BYMONTHDAY", "BYMONTH"} and parts.get("BYMONTHDAY") == str(old.day):
        parts["BYMONTHDAY"] = str(new.day)
    elif by <= {"BYDAY", "BYMONTH"} and re.fullmatch(r"([+-]?[1-5])(MO|TU|WE|TH|FR|SA|SU)", parts.get("BYDAY", "")):
        from_end = parts["BYDAY"].startswith("-")
        parts["BYDAY"] = _nth(new, from_end=from_end) + WEEKDAYS[new.weekday()]
    elif by != {"BYMONTH"}:
        raise refused("Send the rule too: it cannot be moved to another day.")
    if parts.get("BYMONTH") == str(old.month):
        parts["BYMONTH"] = str(new.month)
    return replace(rule, parts=parts)


def _nth(day: date, *, from_end: bool) -> str:
    if not from_end:
        return str((day.day + 6) // 7)
    following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return str(-(((following - day).days + 6) // 7))
