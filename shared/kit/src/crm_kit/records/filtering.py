"""Compiles the filters of ``crm_contracts.filters`` to SQL with parameters. Column names come only from the model."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Boolean, Date, Enum, Integer, Numeric, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from crm_contracts.filter_values import ME
from crm_contracts.filters import AllOf, AnyOf, FieldType, Filter, FilterField, Not, Op, Term
from crm_kit.access.reach import Reach
from crm_kit.folding import LEAST_DIGITS, at_beginning, digits_of, folded, number_of, spaced, within
from crm_kit.phones import E164
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import Record
from crm_kit.store.searching import TEXT, searched

CASTS = {
    FieldType.TEXT: "text",
    FieldType.KEYWORD: "text",
    FieldType.UUID: "uuid",
    FieldType.DATE: "date",
    FieldType.DATETIME: "timestamptz",
    FieldType.DECIMAL: "numeric",
    FieldType.INTEGER: "bigint",
    FieldType.BOOLEAN: "boolean",
}

FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
NUMBER: Final = "number"
OF_USERS: Final = frozenset({"owner_id", "created_by", "modified_by"})
"""Fields with the id of a user, of which ``me`` is one."""
PHONES: Final = frozenset({"phone", "mobile_phone", "phone_number"})
FRAGMENT: Final = re.compile(r"[1-9][0-9]{3,6}", re.ASCII)
"""A value that is found anywhere in a telephone number. A longer one, or one with a prefix, is compared with the end."""
TRIGRAM: Final = 3
"""Characters that a text must have so that the trigram index (``pg_trgm``) can find it anywhere."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Who filters, and when: the organisation's date and time zone, and the records of an entity that the caller may read."""

    today: date
    zone: tzinfo
    reach: Callable[[str], Reach]
    me: UUID


@dataclass(frozen=True, slots=True)
class Virtual:
    """A filter field without a column of its own. ``rewrite`` gets a term and the organisation's date, and returns a filter on
    real fields."""

    field: FilterField
    rewrite: Callable[[Term, date], Filter]


IDS = FilterField(FieldType.UUID)
NAMES = FilterField(FieldType.TEXT)


@dataclass(frozen=True, slots=True)
class Below:
    """A filter field on rows that form trees by the column ``parent``. It matches the rows below a record, at any depth."""

    entity: type[Record]
    parent: str
    field: FilterField = IDS

    def compile(self, term: Term, parameters: Parameters, asking: Asking) -> str:
        """Return the condition as SQL. ``is_null`` matches the rows that have no parent."""
        column = f"t.{self.parent}"
        if term.op is Op.IS_NULL:
            return f"{column} is {'' if term.value else 'not '}null"
        tops = term.value if term.op in (Op.IN, Op.NIN) else [term.value]
        inside = (
            f"{column} in (with recursive above (id) as (select unnest({parameters.add(list(tops), 'uuid[]')})"
            f' union select c.id from public."{self.entity.__tablename__}" c join above a on c.{self.parent} = a.id)'
            " select id from above)"
        )
        return f"({inside}) is not true" if term.op in (Op.NE, Op.NIN) else inside


@dataclass(frozen=True, slots=True)
class NameTable:
    """A table of records to which a row refers by ``column``. ``entities`` are those whose privileges count, by the value of the
    column ``type`` if there are several; none if everybody may read the names. ``only`` is a condition on rows ``n``."""

    column: str
    table: str
    name: str
    entities: tuple[str, ...] = ()
    has_search: bool = False
    only: str = ""

    def text(self, parameters: Parameters, asking: Asking) -> str:
        """Return the searched text of the record to which the row ``t`` refers; an empty text if the caller may not read it.

        It is a subquery of one row, which the planner does not turn into a list of all records.
        """
        where = f"n.id = t.{self.column} and {self.readable('n', parameters, asking)}"
        return f"""coalesce((select n.{TEXT} from public."{self.table}" n where {where}), '')"""

    def readable(self, row: str, parameters: Parameters, asking: Asking) -> str:
        """Return the condition on rows that the caller may read."""
        parts = [self.only.format(row)] if self.only else []
        reaches = {entity: asking.reach(entity) for entity in self.entities}
        if len(reaches) == 1 or len(set(reaches.values())) == 1:
            parts.append(next(iter(reaches.values())).bound(parameters).covers(row))
        elif reaches:
            by_type = [
                f"{row}.type = {parameters.add(entity, 'text')} and {reach.bound(parameters).covers(row)}"
                for entity, reach in reaches.items()
            ]
            parts.append(f"({' or '.join(by_type)})")
        return " and ".join(parts) or "true"


@dataclass(frozen=True, slots=True)
class Named:
    """A filter field of the name that a reference shows. It matches only names that the caller may read.

    ``tables`` are those of the referenced records. A table with a search column has an index for names.
    """

    tables: tuple["NameTable", ...]
    field: FilterField = NAMES

    def compile(self, term: Term, parameters: Parameters, asking: Asking) -> str:
        """Return the condition as SQL."""
        if term.op is Op.IS_NULL:
            condition = " and ".join(f"t.{table.column} is null" for table in self.tables)
            return f"({condition})" if term.value else f"(not ({condition}))"
        negative = term.op in (Op.NE, Op.NIN)
        if negative:
            term = term.model_copy(update={"op": Op.EQ if term.op is Op.NE else Op.IN})
        either = []
        for table in self.tables:
            found = frozenset({table.name}) if table.has_search else frozenset()
            condition = _text(term, "n", table.name, found, parameters)
            where = f"{table.readable('n', parameters, asking)} and {condition}"
            either.append(f'{table.column} in (select n.id from public."{table.table}" n where {where})')
        matches = f"({' or '.join(f't.{one}' for one in either)})"
        return f"({matches} is not true)" if negative else matches


OWNER: Final = Named((NameTable("owner_id", "principal_ref", "name"),))
"""The filter ``owner_name``: names of users and teams, which everybody may read."""


@dataclass(frozen=True, slots=True)
class Filterable:
    """The filter fields of an entity: its columns by JSON name, and virtual fields."""

    columns: Mapping[str, tuple[str, FieldType]]
    fields: Mapping[str, FilterField]
    virtual: Mapping[str, Virtual | Below | Named]
    found: frozenset[str] = frozenset()
    """The columns whose text the search column contains."""

    def compile(self, tree: Filter, parameters: Parameters, asking: Asking) -> str:
        """Return the condition as SQL. ``ne`` and ``nin`` also match rows without a value, as people expect of *is not*."""
        match tree:
            case AllOf():
                return "(" + " and ".join(self.compile(part, parameters, asking) for part in tree.all) + ")"
            case AnyOf():
                return "(" + " or ".join(self.compile(part, parameters, asking) for part in tree.any) + ")"
            case Not():
                return f"(({self.compile(tree.not_, parameters, asking)}) is not true)"
            case Term():
                match self.virtual.get(tree.field):
                    case Virtual() as virtual:
                        return self.compile(virtual.rewrite(tree, asking.today), parameters, asking)
                    case Below() | Named() as other:
                        return other.compile(tree, parameters, asking)
                column, kind = self.columns[tree.field]
                if self.fields[tree.field].many:
                    # A GIN index supports this operator, but not = any(…).
                    return f"t.{column} @> array[{parameters.add(tree.value, CASTS[kind])}]"
                if kind is FieldType.TEXT and self.fields[tree.field].values is None and not is_code(column):
                    return _text(tree, "t", column, self.found, parameters)
                if kind is FieldType.DATETIME:
                    return _moment(tree, f"t.{column}", parameters, asking.zone)
                if self.fields[tree.field].me:
                    tree = _of_caller(tree, asking.me)
                return _term(tree, f"t.{column}", CASTS[kind], parameters)
        raise TypeError(f"not a filter: {type(tree).__name__}")


Compiled = Callable[[str, str, Any, Parameters], str]


def _compared(sign: str) -> Compiled:
    return lambda column, cast, value, parameters: f"{column} {sign} {parameters.add(value, cast)}"


def _one_of(column: str, cast: str, values: Any, parameters: Parameters) -> str:
    return f"{column} = any({parameters.add(list(values), f'{cast}[]')})"


def _between(column: str, cast: str, values: Any, parameters: Parameters) -> str:
    low, high = (parameters.add(value, cast) for value in values)
    return f"{column} between {low} and {high}"


TERMS: Final[Mapping[Op, Compiled]] = {
    Op.EQ: _compared("="),
    Op.NE: _compared("is distinct from"),
    Op.GT: _compared(">"),
    Op.GTE: _compared(">="),
    Op.LT: _compared("<"),
    Op.LTE: _compared("<="),
    Op.IN: _one_of,
    Op.NIN: lambda column, cast, values, parameters: f"({_one_of(column, cast, values, parameters)}) is not true",
    Op.BETWEEN: _between,
    Op.CONTAINS: lambda column, cast, value, parameters: f"strpos({column}, {parameters.add(value, cast)}) > 0",
    Op.STARTS_WITH: lambda column, cast, value, parameters: f"starts_with({column}, {parameters.add(value, cast)})",
    Op.IS_NULL: lambda column, _cast, value, _parameters: f"{column} is {'' if value else 'not '}null",
}
"""The condition of each operator on a column whose values are compared as they are. Texts and times have other conditions for
some operators. A test compiles every operator that a field of a service offers."""


def _term(term: Term, column: str, cast: str, parameters: Parameters) -> str:
    return TERMS[term.op](column, cast, term.value, parameters)


def _of_caller(term: Term, me: UUID) -> Term:
    """Return the term with the id of the caller in place of ``me``."""
    if isinstance(term.value, tuple | list):
        return term.model_copy(update={"value": [me if one == ME else one for one in term.value]})
    return term.model_copy(update={"value": me}) if term.value == ME else term


def is_code(column: str) -> bool:
    """Whether the values of a text column are words of a contract, which are compared as they are."""
    return column.endswith(("type", "currency"))


def _text(term: Term, row: str, name: str, found: frozenset[str], parameters: Parameters) -> str:
    """Return a condition on a text, which is compared without regard to case and accents.

    If the search column contains the text, its index finds the rows.
    """
    column = f"{row}.{name}"

    def near(pattern: str) -> str:
        return f"{row}.{TEXT} like {parameters.add(pattern, 'text')} and " if name in found else ""

    def is_one_of(values: Sequence[str]) -> str:
        if name in PHONES:
            return f"({' or '.join(_phone(value) for value in values)})"
        plain = [folded(value) for value in values]
        same = f"public.crm_folded({column}) = any({parameters.add(plain, 'text[]')})"
        if all(spaced(value).strip() for value in plain) and name in found:
            either = " or ".join(f"{row}.{TEXT} like {parameters.add(at_beginning(one), 'text')}" for one in values)
            same = f"(({either}) and {same})"
        if name == NUMBER and (numbers := [number for value in values if (number := number_of(value))]):
            return f"({column} = any({parameters.add([*values, *numbers], 'text[]')}) or {same})"
        return same

    def _phone(value: str) -> str:
        digits = digits_of(value)
        if FRAGMENT.fullmatch(value):
            pattern = f"%{value}%"
        elif E164.fullmatch(value) or len(digits) < LEAST_DIGITS:
            return f"{column} = {parameters.add(value, 'text')}"
        else:
            pattern = f"%{digits}"
        return f"({near(f'%{digits}%')}{column} like {parameters.add(pattern, 'text')})"

    match term.op:
        case Op.EQ:
            return is_one_of([term.value])
        case Op.NE:
            return f"({is_one_of([term.value])}) is not true"
        case Op.IN:
            return is_one_of(term.value)
        case Op.NIN:
            return f"({is_one_of(term.value)} is not true)"
        case Op.CONTAINS:
            narrow = near(within(term.value)) if len(spaced(folded(term.value)).strip()) >= TRIGRAM else ""
            return f"({narrow}strpos(public.crm_folded({column}), {parameters.add(folded(term.value), 'text')}) > 0)"
        case Op.STARTS_WITH:
            narrow = near(at_beginning(term.value)) if spaced(folded(term.value)).strip() else ""
            return f"({narrow}starts_with(public.crm_folded({column}), {parameters.add(folded(term.value), 'text')}))"
    return _term(term, column, "text", parameters)


def _moment(term: Term, column: str, parameters: Parameters, zone: tzinfo) -> str:
    """Return a condition on a time. A date stands for the whole day in the organisation's time zone."""
    if not any(_is_day(value) for value in (term.value if isinstance(term.value, tuple) else [term.value])):
        return _term(term, column, "timestamptz", parameters)

    def at(moment: datetime) -> str:
        return parameters.add(moment, "timestamptz")

    def begin(value: Any) -> datetime:
        return _midnight(value, zone) if _is_day(value) else value

    def end(day: date) -> datetime:
        return LAST if day == date.max else _midnight(day + timedelta(days=1), zone)

    def on(value: Any) -> str:
        if not _is_day(value):
            return f"{column} = {at(value)}"
        return f"({column} >= {at(begin(value))} and {column} < {at(end(value))})"

    def until(value: Any) -> str:
        return f"{column} < {at(end(value))}" if _is_day(value) else f"{column} <= {at(value)}"

    match term.op:
        case Op.EQ:
            return on(term.value)
        case Op.NE:
            return f"({on(term.value)} is not true)"
        case Op.GT:
            return f"{column} >= {at(end(term.value))}"
        case Op.GTE:
            return f"{column} >= {at(begin(term.value))}"
        case Op.LT:
            return f"{column} < {at(begin(term.value))}"
        case Op.LTE:
            return until(term.value)
        case Op.BETWEEN:
            low, high = term.value
            return f"({column} >= {at(begin(low))} and {until(high)})"
    either = f"({' or '.join(map(on, term.value))})"
    return f"({either} is not true)" if term.op is Op.NIN else either


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Return the first moment of a day, or the first or last moment of the calendar if UTC has no such moment."""
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:
        return FIRST if day.year == date.min.year else LAST


def _is_day(value: Any) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def filterable(entity: type[Record], virtual: Mapping[str, Virtual | Below | Named] | None = None) -> Filterable:
    """Return the filter fields of an entity.

    They are its columns with a value or an array of ids or texts, under their JSON names (``estimated_value.amount``,
    ``customer.id``, ``owner_id``, ``competitor_ids``), and ``virtual``.
    """
    columns: dict[str, tuple[str, FieldType]] = {}
    fields: dict[str, FilterField] = {}
    shown = entity.record_model.model_fields
    for column in entity.__table__.c:
        name, many = _json_name(column.key, shown), isinstance(column.type, ARRAY)
        kind = _type(column.type.item_type if many else column.type)
        if name is None or kind is None:
            continue
        columns[name] = (column.key, kind)
        fields[name] = FilterField(kind, _values(entity, column.key, column.type), many, name in OF_USERS)
    extra = dict(virtual or {})
    if "owner_name" in shown and "owner_id" in columns:
        extra["owner_name"] = OWNER
    kept = searched(entity.__table__)
    found = frozenset(kept.columns if kept else ())
    return Filterable(columns, {**fields, **{name: one.field for name, one in extra.items()}}, extra, found)


def _json_name(column: str, shown: Mapping[str, Any]) -> str | None:
    if column in shown:
        return column
    stem, _, part = column.rpartition("_")
    return f"{stem}.{part}" if stem in shown and part in ("amount", "currency", "type", "id") else None


def _values(entity: type[Record], column: str, kind: Any) -> tuple[str, ...] | None:
    if isinstance(kind, Enum):
        return tuple(kind.enums)
    lifecycle = getattr(entity, "lifecycle", None)
    if lifecycle is not None and column == "status":
        return tuple(lifecycle.statuses)
    if lifecycle is not None and column == "status_reason":
        return tuple(lifecycle.status_reasons)
    return None


def _type(kind: Any) -> FieldType | None:
    match kind:
        case Enum():
            return FieldType.KEYWORD
        case Text() | String():
            return FieldType.TEXT
        case Uuid():
            return FieldType.UUID
        case TIMESTAMP():
            return FieldType.DATETIME
        case Date():
            return FieldType.DATE
        case Boolean():
            return FieldType.BOOLEAN
        case Numeric():
            return FieldType.DECIMAL
        case Integer():
            return FieldType.INTEGER
    return None
