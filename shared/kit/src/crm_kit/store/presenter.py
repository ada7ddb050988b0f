"""From a row to the JSON of its record, the same for answers and events. Compiled once per entity from its contract."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from operator import itemgetter
from typing import Any, get_args, get_origin
from uuid import UUID

import orjson
from pydantic import BaseModel
from sqlalchemy import Numeric

from crm_contracts.money import Money, exponent
from crm_contracts.types import Ref
from crm_kit.store.columns import PercentType
from crm_kit.store.record import Record

Values = Mapping[str, Any]
"""What a row holds, by column name."""


@dataclass(frozen=True, slots=True)
class ReferenceName:
    """What a reference shows of the record it points at, and whose that is: who may not read it sees no name.

    Without an owner only who reads such records throughout the organisation sees the name.
    """

    name: str | None
    deleted: bool = False
    owner: UUID | None = None
    unit: UUID | None = None


Names = Mapping[UUID, ReferenceName]
UNKNOWN = ReferenceName(None)
NOTHING: Set[str] = frozenset()
Target = tuple[str, UUID]
"""Type and id of a record that another one refers to."""


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
        self.parts: dict[str, str] = {}
        """Lists of parts of which each may point at a record: the field, and where a part has its reference."""
        self._special: list[tuple[str, Callable[[Values, Names], Any]]] = []
        plain: list[str] = []
        for field, described in entity.record_model.model_fields.items():
            if field in columns:
                if member := _pointing(described.annotation):
                    self.parts[field] = member
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

    def record(self, values: Values, names: Names, hidden: Set[str] = NOTHING) -> dict[str, Any]:
        """The record, ready for ``to_json``; ``hidden`` are the ids of what it may not show by name."""
        shown = self._template.copy()
        shown.update(zip(self._plain, self._copy(values), strict=True))
        for field, step in self._special:
            shown[field] = step(values, names)
        for field, member in self.parts.items():
            if shown[field]:
                shown[field] = [_part_as_of_now(part, member, names) for part in shown[field]]
        return self.hide(shown, hidden) if hidden else shown

    def hide(self, shown: dict[str, Any], hidden: Set[str]) -> dict[str, Any]:
        """A record, or some of its fields, without the names of these records."""
        for reference in self.references:
            if shown.get(reference.field) is not None:
                shown[reference.field] = without_name(shown[reference.field], hidden)
        for field, member in self.parts.items():
            if shown.get(field):
                shown[field] = [_part_without_name(part, member, hidden) for part in shown[field]]
        return shown

    def pointing(self, shown: Mapping[str, Any]) -> Iterator[Target]:
        """The (type, id) of what a record, as it was once shown, refers to by name; likewise of some of its fields."""
        refs = [shown.get(reference.field) for reference in self.references]
        refs += [part[member] for field, member in self.parts.items() for part in shown.get(field) or ()]
        return ((ref["type"], UUID(str(ref["id"]))) for ref in refs if ref is not None)

    def points_at(self, values: Values) -> Iterator[Target]:
        """The (type, id) of every reference whose name is looked up, the owner aside."""
        for reference in self.references:
            if values[reference.id_column] is not None:
                yield values[reference.type_column], values[reference.id_column]

    def parts_point_at(self, values: Values) -> Iterator[Target]:
        """The (type, id) of what its parts refer to. They keep the name as of writing, so that only a reader asks whether a
        record was deleted, and whether it may be shown."""
        for field, member in self.parts.items():
            for part in values[field]:
                if part[member] is not None:
                    yield part[member]["type"], UUID(part[member]["id"])


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


def _pointing(annotation: Any) -> str | None:
    """Of a list of parts, the member of a part that is a reference; None for everything else."""
    if get_origin(annotation) is not list:
        return None
    (part,) = get_args(annotation)
    if not (isinstance(part, type) and issubclass(part, BaseModel)):
        return None
    members = (name for name, member in part.model_fields.items() if _is_reference(member.annotation))
    return next(members, None)


def _is_reference(annotation: Any) -> bool:
    kinds = (annotation, *get_args(annotation))
    return any(isinstance(kind, type) and issubclass(kind, Ref) for kind in kinds)


def without_name(ref: dict[str, Any], hidden: Set[str]) -> dict[str, Any]:
    """Nothing but type and id of a reference to one of these; a reference without a name has nothing to hide."""
    if ref["name"] is None or str(ref["id"]) not in hidden:
        return ref
    return {"type": ref["type"], "id": ref["id"], "name": None, "deleted": False, "hidden": True}


def _part_as_of_now(part: dict[str, Any], member: str, names: Names) -> dict[str, Any]:
    """A part keeps the name as of writing. Whether its record was deleted is shown as of now, if that was looked up."""
    ref = part[member]
    named = ref and names.get(UUID(str(ref["id"])))
    if not named or named.deleted == ref["deleted"]:
        return part
    return {**part, member: {**ref, "deleted": named.deleted}}


def _part_without_name(part: dict[str, Any], member: str, hidden: Set[str]) -> dict[str, Any]:
    """The same of a part; its own name stays unless it is the record's."""
    ref = part[member]
    bare = ref and without_name(ref, hidden)
    if bare is ref:
        return part
    own = part.get("name")
    return {**part, member: bare, **({"name": None} if own is not None and own == ref["name"] else {})}


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
