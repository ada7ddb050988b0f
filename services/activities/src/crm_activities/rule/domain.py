"""Activity rules without a database: their filters, their texts, and when an activity is due."""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from crm_contracts.activities.activity_rule import DueUnit
from crm_contracts.envelope import parse_type
from crm_contracts.filter_values import Fields, FilterError, value_at
from crm_contracts.filters import Filter, parse_filter
from crm_contracts.sentences import said
from crm_kit.errors import InvalidValue

SUBJECT_LENGTH: Final = 200
DESCRIPTION_LENGTH: Final = 32_000
MOST_DAYS: Final = 3650
NAME: Final = "name"
"""The placeholder of the record's name, which every event has."""
SATURDAY: Final = 5

_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_.]{0,99})\}", re.ASCII)
_CAUSED: Final = frozenset({"created", "reminder_due"})
"""What happens to an activity that a rule created, without anybody's act."""


def require_filter(fields: Fields, document: Any) -> Filter | None:
    """Parse the filter of a rule. 422 with the pointer of a syntax error or of a field that cannot be filtered."""
    if document is None:
        return None
    try:
        return parse_filter(document, fields, "/filter")
    except FilterError as error:
        raise InvalidValue(error.pointer, error.code, error.message) from None


def require_placeholders(fields: Fields, template: str | None, pointer: str) -> None:
    """Raise 422 if a text has a placeholder that is no field of the event."""
    unknown = next((name for name in placeholders(template or "") if name != NAME and name not in fields), None)
    if unknown is not None:
        raise InvalidValue(
            pointer,
            "unknown-placeholder",
            said("{{{unknown}}} is no field of this event. Use {{name}} or a field of the record.", unknown=unknown),
        )


def placeholders(template: str) -> list[str]:
    """Return the names in braces. Other braces are plain text."""
    return _PLACEHOLDER.findall(template)


def filled(template: str, name: str | None, record: Mapping[str, Any], longest: int, known: Collection[str]) -> str:
    """Return the text with the values of the record in place of its placeholders, cut to ``longest`` characters.

    A missing value becomes an empty text. What is not ``known`` as a field stays as it is, as in rules of earlier releases.
    Values are not searched for placeholders again.
    """

    def value(found: re.Match[str]) -> str:
        key = found[1]
        if key != NAME and key not in known:
            return found[0]
        stored = name if key == NAME else value_at(record, key)
        return "" if stored is None else shown(stored)

    text = _PLACEHOLDER.sub(value, template).strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def shown(value: Any) -> str:
    """Return a value of an event as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return str(value).replace("\n", " ")


def due_at(happened_at: datetime, after: int, unit: str, zone: tzinfo) -> datetime:
    """Return the time that many days after the event, at the same time of day in the organisation's time zone.

    Business days are Monday to Friday. An event at a weekend counts as if it happened on the Friday before, so one business day
    after a Saturday is the Monday. With 0 business days, an activity of a weekend is due on the Monday.
    """
    local = happened_at.astimezone(zone)
    day = local.date()
    if unit == DueUnit.BUSINESS_DAYS:
        if after == 0:
            day += timedelta(days=max(0, 7 - day.weekday()) if day.weekday() >= SATURDAY else 0)
        else:
            day -= timedelta(days=max(0, day.weekday() - (SATURDAY - 1)))
            weeks, rest = divmod(after, 5)
            day += timedelta(weeks=weeks)
            day += timedelta(days=rest + (2 if day.weekday() + rest >= SATURDAY else 0))
    else:
        day += timedelta(days=after)
    return datetime.combine(day, local.timetz().replace(tzinfo=None), zone).astimezone(happened_at.tzinfo)


def closes_a_circle(event_type: str, activity_type: str, others: Iterable[tuple[str, str]]) -> bool:
    """Whether a rule would set itself off, directly or through other rules.

    ``others`` are the event types and the activity types of the other active rules. Only what happens to a created activity
    without anybody's act counts: that it is created, and that its reminder is due.
    """
    rules: Collection[tuple[str, str]] = [(event_type, activity_type), *others]
    reached, new = {activity_type}, {activity_type}
    while new:
        new = {made for heard, made in rules if _caused_by(heard) in new} - reached
        reached |= new
    return _caused_by(event_type) in reached


def _caused_by(event_type: str) -> str | None:
    """Return the type of activity whose creation causes such an event, or None."""
    name = parse_type(event_type)
    return name.entity if name.service == "activities" and name.fact in _CAUSED else None
