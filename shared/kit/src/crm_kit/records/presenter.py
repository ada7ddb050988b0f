"""From a row to the JSON of its record, the same for answers and events. Compiled once per entity from its contract."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel
from sqlalchemy import Numeric

from crm_contracts.money import Money, exponent
from crm_kit.db import PercentType, Record

Values = Mapping[str, Any]
"""What a row holds, by column name."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a reference shows of the record it points at."""

    name: str | None
    deleted: bool = False


Names = Mapping[UUID, Named]
UNKNOWN = Named(None)


def encode(value: Any) -> Any:
    """What orjson does not know by itself."""
    match value:
        case UUID():
            return str(value)
        case Decimal():
            return format(value, "f")
        case Money():
            return value.as_json()
        case BaseModel():
            return value.model_dump(mode="json")
        case Enum():
            return value.value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def to_json(value: Any) -> bytes:
    """JSON bytes; instants end in Z."""
    return orjson.dumps(value, default=encode, option=orjson.OPT_UTC_Z)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a reference of several possible types keeps its type and id."""

    field: str
    type_column: str
    id_column: str


class Presenter:
    """Turns the values of one entity's row into its record, in the order of the contract.

    A list of fifty runs this some two thousand times, so fields that are shown as they are kept are copied in one go.
    """

    def __init__(self, entity: type[Record]) -> None:
        columns = entity.__table__.c
        self.references: list[Reference] = []
        self._special: list[tuple[str, Callable[[Values, Names], Any]]] = []
        plain: list[str] = []
        for field in entity.record_model.model_fields:
            if field in columns:
                step = _converted(field, columns[field].type)
                if step is None:
                    plain.append(field)
                    continue
            elif f"{field}_amount" in columns:
                step = _money(field)
            elif field == "owner_name":
                step = _owner_name
            elif f"{field}_id" in columns and f"{field}_type" in columns:
                reference = Reference(field, f"{field}_type", f"{field}_id")
                self.references.append(reference)
                step = _reference(reference)
            else:
                raise TypeError(f"{entity.__name__} has no column for the field {field!r} of its contract")
            self._special.append((field, step))
        self._template: dict[str, Any] = dict.fromkeys(entity.record_model.model_fields)
        self._plain = tuple(plain)
        self._copy = itemgetter(*plain)

    def record(self, values: Values, names: Names) -> dict[str, Any]:
        """The record, ready for ``to_json``."""
        shown = self._template.copy()
        shown.update(zip(self._plain, self._copy(values), strict=True))
        for field, step in self._special:
            shown[field] = step(values, names)
        return shown

    def points_at(self, values: Values) -> Iterator[tuple[str, UUID]]:
        """The (type, id) of every reference whose name the record shows, the owner aside."""
        for reference in self.references:
            if values[reference.id_column] is not None:
                yield values[reference.type_column], values[reference.id_column]


_PRESENTERS: dict[type[Record], Presenter] = {}


def presenter_of(entity: type[Record]) -> Presenter:
    """The one presenter of an entity."""
    presenter = _PRESENTERS.get(entity)
    if presenter is None:
        presenter = _PRESENTERS[entity] = Presenter(entity)
    return presenter


def _converted(field: str, kind: Any) -> Callable[[Values, Names], Any] | None:
    """How a column is shown that is not shown as it is kept; None for all others."""
    if isinstance(kind, PercentType):
        return lambda values, _: None if values[field] is None else float(values[field])
    if isinstance(kind, Numeric):
        return lambda values, _: None if values[field] is None else format(values[field].normalize(), "f")
    return None


def _money(field: str) -> Callable[[Values, Names], Any]:
    amount_column, currency_column = f"{field}_amount", f"{field}_currency"

    def money(values: Values, _: Names) -> dict[str, str] | None:
        amount: Decimal | None = values[amount_column]
        if amount is None:
            return None
        currency = values[currency_column]
        return {"amount": f"{amount:.{exponent(currency)}f}", "currency": currency}

    return money


def _owner_name(values: Values, names: Names) -> str | None:
    return names.get(values["owner_id"], UNKNOWN).name


def _reference(reference: Reference) -> Callable[[Values, Names], Any]:
    type_column, id_column = reference.type_column, reference.id_column

    def present(values: Values, names: Names) -> dict[str, Any] | None:
        target = values[id_column]
        if target is None:
            return None
        named = names.get(target, UNKNOWN)
        return {"type": values[type_column], "id": target, "name": named.name, "deleted": named.deleted}

    return present
