"""Compiles the filters of ``crm_contracts.filters`` to SQL with parameters. Column names come only from the model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Boolean, Date, Enum, Integer, Numeric, String, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from crm_contracts.filters import AllOf, AnyOf, FieldType, Filter, FilterField, Not, Op, Term
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import Record

COMPARE = {Op.EQ: "=", Op.NE: "<>", Op.GT: ">", Op.GTE: ">=", Op.LT: "<", Op.LTE: "<="}
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


@dataclass(frozen=True, slots=True)
class Virtual:
    """A filter field without a column of its own. ``rewrite`` gets a term and the organisation's date, and returns a filter on
    real fields."""

    field: FilterField
    rewrite: Callable[[Term, date], Filter]


IDS = FilterField(FieldType.UUID)


@dataclass(frozen=True, slots=True)
class Below:
    """A filter field on rows that form trees by the column ``parent``. It matches the rows below a record, at any depth."""

    entity: type[Record]
    parent: str
    field: FilterField = IDS

    def compile(self, term: Term, parameters: Parameters) -> str:
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
class Filterable:
    """The filter fields of an entity: its columns by JSON name, and virtual fields."""

    columns: Mapping[str, tuple[str, FieldType]]
    fields: Mapping[str, FilterField]
    virtual: Mapping[str, Virtual | Below]

    def compile(self, tree: Filter, parameters: Parameters, today: date) -> str:
        """Return the condition as SQL. ``ne`` and ``nin`` also match rows without a value, as people expect of *is not*."""
        match tree:
            case AllOf():
                return "(" + " and ".join(self.compile(part, parameters, today) for part in tree.all) + ")"
            case AnyOf():
                return "(" + " or ".join(self.compile(part, parameters, today) for part in tree.any) + ")"
            case Not():
                return f"(({self.compile(tree.not_, parameters, today)}) is not true)"
            case Term():
                match self.virtual.get(tree.field):
                    case Virtual() as virtual:
                        return self.compile(virtual.rewrite(tree, today), parameters, today)
                    case Below() as below:
                        return below.compile(tree, parameters)
                column, kind = self.columns[tree.field]
                if self.fields[tree.field].many:
                    # A GIN index supports this operator, but not = any(…).
                    return f"t.{column} @> array[{parameters.add(tree.value, CASTS[kind])}]"
                return _term(tree, f"t.{column}", CASTS[kind], parameters)
        raise TypeError(f"not a filter: {type(tree).__name__}")


def _term(term: Term, column: str, cast: str, parameters: Parameters) -> str:
    match term.op:
        case Op.IS_NULL:
            return f"{column} is {'' if term.value else 'not '}null"
        case Op.IN:
            return f"{column} = any({parameters.add(list(term.value), f'{cast}[]')})"
        case Op.NIN:
            return f"({column} = any({parameters.add(list(term.value), f'{cast}[]')})) is not true"
        case Op.BETWEEN:
            low, high = (parameters.add(value, cast) for value in term.value)
            return f"{column} between {low} and {high}"
        case Op.CONTAINS:
            return f"{column} ilike {parameters.add(f'%{escaped(term.value)}%', 'text')}"
        case Op.STARTS_WITH:
            return f"{column} ilike {parameters.add(f'{escaped(term.value)}%', 'text')}"
        case Op.NE:
            return f"{column} is distinct from {parameters.add(term.value, cast)}"
    return f"{column} {COMPARE[term.op]} {parameters.add(term.value, cast)}"


def escaped(text: str) -> str:
    """Escape a text for LIKE, so that it has no wildcards."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def filterable(entity: type[Record], virtual: Mapping[str, Virtual | Below] | None = None) -> Filterable:
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
        fields[name] = FilterField(kind, _values(entity, column.key, column.type), many)
    extra = virtual or {}
    return Filterable(columns, {**fields, **{name: one.field for name, one in extra.items()}}, extra)


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
