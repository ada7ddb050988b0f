"""The filter ``age`` on people: completed years, translated to a range of ``birth_date``."""

from collections.abc import Sequence
from datetime import date, timedelta

from crm_contracts.filters import AllOf, AnyOf, FieldType, Filter, FilterField, Not, Op, Term
from crm_kit.records.filtering import Virtual


def years_before(day: date, years: int) -> date:
    """Return the same day ``years`` earlier. 29 February becomes 28 February."""
    if years >= day.year:
        return date.min
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def _born(first: date | None, last: date | None) -> Filter:
    terms: list[Filter] = []
    if first is not None:
        terms.append(Term(field="birth_date", op=Op.GTE, value=first))
    if last is not None:
        terms.append(Term(field="birth_date", op=Op.LTE, value=last))
    return AllOf.model_construct(all=terms)


def _of_age(low: int | None, high: int | None, today: date) -> Filter:
    """Match people of ``low`` to ``high`` completed years, both included."""
    first = None if high is None else years_before(today, high + 1) + timedelta(days=1)
    last = None if low is None else years_before(today, low)
    return _born(first, last)


OLDEST = 200


def _rewrite(term: Term, today: date) -> Filter:
    value = term.value
    match term.op:
        case Op.IS_NULL:
            return Term(field="birth_date", op=Op.IS_NULL, value=value)
        case Op.BETWEEN:
            return _of_age(_years(value[0]), _years(value[1]), today)
        case Op.GT:
            return _of_age(_years(value + 1), None, today)
        case Op.GTE:
            return _of_age(_years(value), None, today)
        case Op.LT:
            return _of_age(None, _years(value - 1), today)
        case Op.LTE:
            return _of_age(None, _years(value), today)
        case Op.NE:
            return Not.model_construct(not_=_exactly([value], today))
        case Op.NIN:
            return Not.model_construct(not_=_exactly(value, today))
        case Op.IN:
            return _exactly(value, today)
    return _exactly([value], today)


def _exactly(ages: Sequence[int], today: date) -> Filter:
    return AnyOf.model_construct(any=[_of_age(_years(age), _years(age), today) for age in ages])


def _years(age: int) -> int:
    # Ages outside -1 to OLDEST match nobody, and larger numbers would leave the range of dates.
    return max(-1, min(age, OLDEST))


AGE = Virtual(FilterField(FieldType.INTEGER), _rewrite)
