"""Filters on records that are not in the database: whether the record of an event matches a rule.

The operators mean what they mean in lists (``crm_kit.records.filtering``): texts are compared without regard to case and accents,
``ne`` and ``nin`` also match missing values, and a date stands for the whole day in the organisation's time zone.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from crm_contracts.filter_values import value_at
from crm_contracts.filters import AllOf, AnyOf, Fields, FieldType, Filter, FilterField, Not, Op, Term
from crm_kit.folding import LEAST_DIGITS, digits_of, folded, number_of
from crm_kit.phones import E164
from crm_kit.records.filtering import FRAGMENT, NUMBER, PHONES, is_code

READERS: Final[Mapping[FieldType, Callable[[Any], Any]]] = {
    FieldType.TEXT: str,
    FieldType.KEYWORD: str,
    FieldType.UUID: lambda value: UUID(str(value)),
    FieldType.DATE: lambda value: date.fromisoformat(str(value)),
    FieldType.DATETIME: lambda value: datetime.fromisoformat(str(value)).astimezone(UTC),
    FieldType.DECIMAL: lambda value: Decimal(str(value)),
    FieldType.INTEGER: int,
    FieldType.BOOLEAN: bool,
}
"""How the value of a field in an event becomes a Python value."""


def matches(tree: Filter, fields: Fields, record: Mapping[str, Any], zone: tzinfo) -> bool:
    """Whether a record in the form in which an event carries it matches a filter that was checked against ``fields``.

    The name of a part has a dot (``estimated_value.amount``). Raises ValueError for a value that does not have the field's type.
    """
    match tree:
        case AllOf():
            return all(matches(part, fields, record, zone) for part in tree.all)
        case AnyOf():
            return any(matches(part, fields, record, zone) for part in tree.any)
        case Not():
            return not matches(tree.not_, fields, record, zone)
        case Term():
            return _holds(tree, fields[tree.field], value_at(record, tree.field), zone)
    raise TypeError(f"not a filter: {type(tree).__name__}")


def _holds(term: Term, field: FilterField, stored: Any, zone: tzinfo) -> bool:
    if field.many:
        return term.value in [READERS[field.type](one) for one in stored or ()]
    if term.op is Op.IS_NULL:
        return (stored is None) is term.value
    if stored is None:
        return term.op in (Op.NE, Op.NIN)
    value = READERS[field.type](stored)
    if field.type is FieldType.TEXT:
        return _code(term, value) if is_code(term.field) else _text(term, value)
    if field.type is FieldType.DATETIME:
        return _moment(term, value, zone)
    return _compared(term, value)


def _compared(term: Term, value: Any) -> bool:
    match term.op:
        case Op.IN:
            return value in term.value
        case Op.NIN:
            return value not in term.value
        case Op.BETWEEN:
            low, high = term.value
            return bool(low <= value <= high)
        case Op.NE:
            return bool(value != term.value)
        case Op.GT:
            return bool(value > term.value)
        case Op.GTE:
            return bool(value >= term.value)
        case Op.LT:
            return bool(value < term.value)
        case Op.LTE:
            return bool(value <= term.value)
    return bool(value == term.value)


def _code(term: Term, value: str) -> bool:
    """Compare a word of a contract as it is."""
    if term.op is Op.CONTAINS:
        return term.value in value
    return value.startswith(term.value) if term.op is Op.STARTS_WITH else _compared(term, value)


def _dialled(value: str, wanted: str) -> bool:
    """Whether a telephone number is the wanted one, or has the wanted fragment or end."""
    if FRAGMENT.fullmatch(wanted):
        return wanted in value
    digits = digits_of(wanted)
    if E164.fullmatch(wanted) or len(digits) < LEAST_DIGITS:
        return value == wanted
    return value.endswith(digits)


def _text(term: Term, value: str) -> bool:
    name = term.field.rpartition(".")[2]
    match term.op:
        case Op.IN:
            return _is_one_of(name, value, term.value)
        case Op.NIN:
            return not _is_one_of(name, value, term.value)
        case Op.NE:
            return not _is_one_of(name, value, [term.value])
        case Op.CONTAINS:
            return folded(term.value) in folded(value)
        case Op.STARTS_WITH:
            return folded(value).startswith(folded(term.value))
    return _is_one_of(name, value, [term.value])


def _is_one_of(name: str, value: str, wanted: Sequence[str]) -> bool:
    if name in PHONES:
        return any(_dialled(value, one) for one in wanted)
    if name == NUMBER and value in {number_of(one) for one in wanted}:
        return True
    return folded(value) in map(folded, wanted)


def _moment(term: Term, value: datetime, zone: tzinfo) -> bool:
    """Compare a time with times and days. A day is a span, from its first moment to before the next day."""

    def begin(one: Any) -> datetime:
        return one if isinstance(one, datetime) else datetime.combine(one, time(), zone)

    def is_on(one: Any) -> bool:
        return value == one if isinstance(one, datetime) else value.astimezone(zone).date() == one

    def is_after(one: Any) -> bool:
        return value > one if isinstance(one, datetime) else value.astimezone(zone).date() > one

    match term.op:
        case Op.IN:
            return any(map(is_on, term.value))
        case Op.NIN:
            return not any(map(is_on, term.value))
        case Op.BETWEEN:
            low, high = term.value
            return value >= begin(low) and not is_after(high)
        case Op.NE:
            return not is_on(term.value)
        case Op.GT:
            return is_after(term.value)
        case Op.GTE:
            return value >= begin(term.value)
        case Op.LT:
            return value < begin(term.value)
        case Op.LTE:
            return not is_after(term.value)
    return is_on(term.value)
