"""The values of filters: the types of fields, their operators, and the forms of values in JSON and query strings."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from crm_contracts.sentences import said

from .types import composed

MAX_VALUES: Final = 200
"""The most values of `in` and `nin`."""
MAX_TEXT: Final = 1000
MAX_PATTERN: Final = 200
"""Characters of a value of `contains` and `starts_with` on texts, because each costs time for every row."""


class Op(StrEnum):
    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    NIN = "nin"
    BETWEEN = "between"
    """Matches from the first to the second value, both included."""
    CONTAINS = "contains"
    """Matches a part of a text, regardless of case, like starts_with. On a list, it matches one of its values exactly."""
    STARTS_WITH = "starts_with"
    IS_NULL = "is_null"


class FieldType(StrEnum):
    TEXT = "text"
    KEYWORD = "keyword"
    UUID = "uuid"
    DATE = "date"
    DATETIME = "datetime"
    DECIMAL = "decimal"
    INTEGER = "integer"
    BOOLEAN = "boolean"


_EQUAL: Final = (Op.EQ, Op.NE, Op.IN, Op.NIN, Op.IS_NULL)
_ORDERED: Final = (Op.EQ, Op.NE, Op.GT, Op.GTE, Op.LT, Op.LTE, Op.BETWEEN, Op.IN, Op.NIN, Op.IS_NULL)
OPS: Final[Mapping[FieldType, tuple[Op, ...]]] = {
    FieldType.TEXT: (*_EQUAL, Op.CONTAINS, Op.STARTS_WITH),
    FieldType.KEYWORD: _EQUAL,
    FieldType.UUID: _EQUAL,
    FieldType.DATE: _ORDERED,
    FieldType.DATETIME: _ORDERED,
    FieldType.DECIMAL: _ORDERED,
    FieldType.INTEGER: _ORDERED,
    FieldType.BOOLEAN: (Op.EQ, Op.NE, Op.IS_NULL),
}


ME: Final = "me"
"""The value that stands for the id of the caller."""
LIST_OPS: Final = (Op.CONTAINS,)
"""The operators of a list of values. Use `{"not": …}` for lists without a value."""


@dataclass(frozen=True, slots=True)
class FilterField:
    """A field that may be filtered. `values` are the allowed values of a keyword.

    With `many` the field is a list of values of the type, and a term matches if the list contains its value. With `me` the field
    is the id of a user, and `me` stands for the id of the caller.
    """

    type: FieldType
    values: tuple[str, ...] | None = None
    many: bool = False
    me: bool = False

    @property
    def ops(self) -> tuple[Op, ...]:
        """The operators that this field takes."""
        return LIST_OPS if self.many else OPS[self.type]

    @property
    def kind(self) -> str:
        """The type of the field, for people."""
        return f"list of {self.type}" if self.many else self.type


Fields = Mapping[str, FilterField]
"""The fields that may be filtered, by name. The name of a part has a dot (`estimated_value.amount`)."""


class FilterError(ValueError):
    """A filter that is refused (400). `pointer` is a JSON pointer into the filter, or the query parameter's name."""

    def __init__(self, code: str, pointer: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.pointer = pointer
        self.message = message


Readers = Mapping[FieldType, Callable[[Any], Any]]


def read_value(field: str, known: FilterField, op: Op, value: Any, pointer: str, readers: Readers) -> Any:
    """Return the Python value of a term; a tuple for several values. Raises FilterError, which says what is allowed."""
    if is_pattern(known, op) and isinstance(value, str) and len(value) > MAX_PATTERN:
        raise FilterError(
            "too-long",
            pointer,
            said("Send text of 1 to {most} characters for {field} {op}.", most=MAX_PATTERN, field=field, op=op),
        )
    if op is Op.IS_NULL:
        return _one(field, FilterField(FieldType.BOOLEAN), op, value, pointer, readers)
    if op not in (Op.IN, Op.NIN, Op.BETWEEN):
        return _one(field, known, op, value, pointer, readers)
    if not isinstance(value, list | tuple):
        raise FilterError("invalid-value", pointer, said("Send a list of values for {field} {op}.", field=field, op=op))
    if op is Op.BETWEEN and len(value) != 2:
        raise FilterError(
            "invalid-value", pointer, said("Send two values for {field} between, the lower one first.", field=field)
        )
    if not 1 <= len(value) <= MAX_VALUES:
        raise FilterError(
            "invalid-value",
            pointer,
            said("Send 1 to {most} values for {field} {op}.", most=MAX_VALUES, field=field, op=op),
        )
    values = tuple(_one(field, known, op, single, pointer, readers) for single in value)
    if op is Op.BETWEEN and _later(*values):
        raise FilterError(
            "invalid-value", pointer, said("Send two values for {field} between, the lower one first.", field=field)
        )
    return values


def _later(one: Any, other: Any) -> bool:
    if isinstance(one, datetime) != isinstance(other, datetime):
        # A day and a time: the time zone, which is not known here, decides about less than a day.
        one, other = ((value.date() if isinstance(value, datetime) else value) for value in (one, other))
        return bool(one - other > timedelta(days=1))
    return bool(one > other)


def is_pattern(known: FilterField, op: Op) -> bool:
    """Whether a term searches within texts, which an index of whole values does not support."""
    return op in (Op.CONTAINS, Op.STARTS_WITH) and not known.many


def _one(field: str, known: FilterField, op: Op, value: Any, pointer: str, readers: Readers) -> Any:
    if known.me and value == ME:
        return ME
    try:
        read = readers[known.type](value)
    except (ValueError, TypeError, ArithmeticError):
        raise FilterError(
            "invalid-value",
            pointer,
            said("Send {expected} for {field} {op}.", expected=_EXPECTED[known.type], field=field, op=op),
        ) from None
    if known.values is not None and read not in known.values:
        allowed = ", ".join(known.values)
        raise FilterError(
            "invalid-value",
            pointer,
            said("For {field} {op}, send one of: {allowed}.", field=field, op=op, allowed=allowed),
        )
    return read


_EXPECTED: Final[Mapping[FieldType, str]] = {
    FieldType.TEXT: said("text of 1 to {most} characters", most=MAX_TEXT),
    FieldType.KEYWORD: said("text of 1 to {most} characters", most=MAX_TEXT),
    FieldType.UUID: said("a UUID"),
    FieldType.DATE: said("a date, YYYY-MM-DD"),
    FieldType.DATETIME: said("a time with its offset, such as 2026-05-04T09:30:00Z, or a day, YYYY-MM-DD"),
    FieldType.DECIMAL: said("a decimal number"),
    FieldType.INTEGER: said("a whole number"),
    FieldType.BOOLEAN: said("true or false"),
}
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
# An unencoded plus sign arrives as a space: 2026-05-04T09:30:00 02:00.
_LOST_PLUS: Final = re.compile(r"(T[0-9:.]+) ([0-9]{2}:?[0-9]{2})", re.ASCII)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT or "\x00" in value:
        raise ValueError
    value.encode()  # a lone surrogate cannot be sent to the database
    return composed(value)


def _uuid(value: Any) -> UUID:
    if isinstance(value, UUID):
        return value
    if not _UUID.fullmatch(_text(value)):
        raise ValueError
    return UUID(value)


def _date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not _DATE.fullmatch(_text(value)):
        raise ValueError
    return date.fromisoformat(value)


def _datetime(value: Any) -> datetime | date:
    """Read a time, or a day of the organisation's time zone."""
    if not isinstance(value, datetime) and (isinstance(value, date) or _DATE.fullmatch(_text(value))):
        return _date(value)
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise TypeError
    # The text of a float is the shortest one that stands for it, so 0.1 gives Decimal("0.1").
    number = Decimal(str(value)) if not isinstance(value, str) else Decimal(value if _DECIMAL.fullmatch(value) else "")
    if not number.is_finite() or abs(number) >= Decimal(10) ** 20:
        raise InvalidOperation
    return number


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 10**18:
        raise TypeError
    return value


def _integer_text(value: Any) -> int:
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        raise ValueError
    return int(value)


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _boolean_text(value: Any) -> bool:
    return {"true": True, "false": False}[value] if value in ("true", "false") else _boolean(value)


FROM_JSON: Final[Readers] = {
    FieldType.TEXT: _text,
    FieldType.KEYWORD: _text,
    FieldType.UUID: _uuid,
    FieldType.DATE: _date,
    FieldType.DATETIME: _datetime,
    FieldType.DECIMAL: _decimal,
    FieldType.INTEGER: _integer,
    FieldType.BOOLEAN: _boolean,
}
FROM_TEXT: Final[Readers] = {
    **FROM_JSON,
    FieldType.DATETIME: lambda value: _datetime(_LOST_PLUS.sub(r"\1+\2", value)),
    FieldType.INTEGER: _integer_text,
    FieldType.BOOLEAN: _boolean_text,
}


def plain_value(value: Any) -> Any:
    """Return a value of a term as JSON."""
    if isinstance(value, tuple | list):
        return [plain_value(single) for single in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Decimal) else value


def value_at(record: Mapping[str, Any], name: str) -> Any:
    """Return the value of a field, or of a part of it; None if it is missing."""
    found: Any = record
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
