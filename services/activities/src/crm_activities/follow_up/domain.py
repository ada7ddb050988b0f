"""Follow-up rules: the events they can name, their filters, and the task they make."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal

from crm_contracts.filters import (
    AllOf,
    AnyOf,
    Fields,
    FieldType,
    Filter,
    FilterError,
    FilterField,
    Not,
    Op,
    parse_filter,
)
from crm_contracts.sales.choices import LeadSource, Rating
from crm_contracts.service.choices import CaseOrigin, CasePriority, CaseStatusReason, CaseType, Severity
from crm_kit.errors import InvalidValue

SUBJECT_LENGTH = 200
MOST_DAYS = 3650

FollowedType = Literal["crm.sales.opportunity.won.v1", "crm.service.case.resolved.v1"]


def _word(values: type[StrEnum]) -> FilterField:
    return FilterField(FieldType.KEYWORD, tuple(values))


FOLLOWED: Final[Mapping[str, Fields]] = {
    "crm.sales.opportunity.won.v1": {"source": _word(LeadSource), "rating": _word(Rating)},
    "crm.service.case.resolved.v1": {
        "type": _word(CaseType),
        "origin": _word(CaseOrigin),
        "priority": _word(CasePriority),
        "severity": _word(Severity),
        "status_reason": _word(CaseStatusReason),
    },
}
"""The events that rules can name, each with the fields of its record that the rule's filter can use."""


def require_filter(event_type: str, document: Any) -> Filter | None:
    """Parse the filter of a rule. 422 with the pointer of a syntax error or of a field that cannot be filtered."""
    if document is None:
        return None
    try:
        return parse_filter(document, FOLLOWED[event_type], "/filter")
    except FilterError as error:
        raise InvalidValue(error.pointer, error.code, error.message) from None


def holds(tree: Filter, record: Mapping[str, Any]) -> bool:
    """Whether a record matches the filter, by the rules of list filters.

    ``ne`` and ``nin`` also match missing values.
    """
    match tree:
        case AllOf():
            return all(holds(part, record) for part in tree.all)
        case AnyOf():
            return any(holds(part, record) for part in tree.any)
        case Not():
            return not holds(tree.not_, record)
    value = record.get(tree.field)
    match tree.op:
        case Op.IS_NULL:
            return (value is None) is tree.value
        case Op.IN:
            return value in tree.value
        case Op.NIN:
            return value not in tree.value
        case Op.NE:
            return bool(value != tree.value)
    return bool(value == tree.value)


def subject_of(template: str, name: str | None) -> str:
    """Return the subject of the task, at most 200 characters.

    Only ``{name}`` is replaced; the template is no format string.
    """
    subject = template.replace("{name}", name or "").strip()
    return subject if len(subject) <= SUBJECT_LENGTH else subject[: SUBJECT_LENGTH - 1].rstrip() + "…"


def due_at(happened_at: datetime, days: int) -> datetime:
    """Return the time that many days after the event, at the same time of day (UTC)."""
    return happened_at + timedelta(days=days)
